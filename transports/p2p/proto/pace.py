"""Pace: what a chunk takes on this link, and how long a pause says nothing there.

4 MiB take 0.03 s of a link of 1 Gbit/s, and half a minute of one of 10 Mbit/s that eight share: who is silent, late or
given up there is not told by the same seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["PAUSE_MOST_S", "PAUSE_SHARE", "Pace"]

PAUSE_SHARE = 0.25
"""Where chunks take long, bytes come far apart: a pause of this part of what a chunk takes says nothing …"""
PAUSE_MOST_S = 5.0
"""… if it is no longer than this: a machine that was switched off makes one, too."""
_KEEP = 0.5


class Pace:
    """Of all sources together, the origin too: what is slow is seen by what is usual. Pure."""

    def __init__(self) -> None:
        self.chunk_s = 0.0
        """Seconds a chunk takes, smoothed; 0: none came yet."""
        self._so_far_s = 0.0

    @property
    def pause_s(self) -> float:
        """For so long nothing may come from anybody, or from one, without a reason."""
        return min(PAUSE_MOST_S, PAUSE_SHARE * self.expected_s)

    @property
    def expected_s(self) -> float:
        """What a chunk takes, as far as is known; 0: nothing has begun to come yet."""
        return self.chunk_s or self._so_far_s

    def handle_chunk(self, took_s: float) -> None:
        """One came, so long after it was asked for, or after the one before it from there."""
        self.chunk_s = _KEEP * self.chunk_s + (1 - _KEEP) * took_s if self.chunk_s else took_s

    def handle_coming(self, begun_s: Iterable[float]) -> None:
        """What is coming now was asked for so long ago: all that is known before the first has come."""
        if not self.chunk_s:
            self._so_far_s = max(begun_s, default=0.0)
