"""What a chunk takes from the origin to a member of a subnet, and how long one is waited for."""

from __future__ import annotations

__all__ = ["Patience"]

LEAST_S = 4.0
TIMES = 4.0
"""A chunk that takes so many times what chunks take is given to another."""
ENDING_S = 1.0
ENDING_TIMES = 2.0
"""The same when nothing is left to assign: everybody waits for what is under way, and the origin's wire rests."""
EXPECTED_FIRST_S = 30.0
"""What a chunk is expected to take before any arrived: eight of 16 MiB share a link of 10 Mbit/s for 107 s. Whoever was
switched off is noticed sooner, and who is silent while others bring theirs, too."""
SMOOTHING = 0.25


class Patience:
    """Of one subnet."""

    def __init__(self) -> None:
        self._expected_s: float | None = None

    def handle_arrived(self, took_s: float) -> None:
        """A chunk came, so long after it was assigned."""
        before = took_s if self._expected_s is None else self._expected_s
        self._expected_s = before + SMOOTHING * (took_s - before)

    def times(self, count: float) -> float:
        """Seconds that so many chunks are expected to take; 0: none came yet."""
        return count * (self._expected_s or 0.0)

    def is_exceeded(self, took_s: float, times: float) -> bool:
        """Whether that is more than so many times what a chunk takes, as far as that is known."""
        return self._expected_s is not None and took_s > times * self._expected_s

    @property
    def usual_s(self) -> float:
        """A chunk under way is waited for so long."""
        return max(LEAST_S, TIMES * self._known_s)

    @property
    def ending_s(self) -> float:
        """The same, and who verifies nothing is, when nothing is left to assign."""
        return max(ENDING_S, ENDING_TIMES * self._known_s)

    @property
    def _known_s(self) -> float:
        return EXPECTED_FIRST_S if self._expected_s is None else self._expected_s
