"""Needs: chunks that nobody within reach has and nobody is getting. Repod is asked when that lasts."""

from __future__ import annotations

from collections.abc import Sequence

from transports.p2p.proto.limits import NEED_AFTER_S

__all__ = ["NEED_CHUNKS", "NEED_LONGEST_S", "Needs"]

NEED_PERIODS = 32
"""Chunks need time to go from peer to peer: so many times what one takes to come, if that is longer …"""
NEED_LONGEST_S = 10.0
"""… but no longer than this."""
_KEEP = 0.875

NEED_CHUNKS = 8
"""Named at a time: the lowest, which hold up the window."""


class Needs:
    """Each chunk is named again as long as it is lacking, every NEED_AFTER_S seconds at most."""

    def __init__(self) -> None:
        self._period_s = 0.0
        self._since: dict[int, float] = {}
        self._due: list[int] = []

    def handle_arrival(self, since_last_s: float) -> None:
        """A chunk came, so long after the one before."""
        self._period_s = _KEEP * self._period_s + (1 - _KEEP) * since_last_s

    def handle_lacking(self, chunks: Sequence[int], now: float, *, starving: bool = False) -> None:
        """All that cannot be had now, in rising order. `starving`: nothing else comes either."""
        patience_s = NEED_AFTER_S if starving else max(NEED_AFTER_S, min(NEED_PERIODS * self._period_s, NEED_LONGEST_S))
        self._since = {chunk: self._since.get(chunk, now) for chunk in chunks[:NEED_CHUNKS]}
        self._due = [chunk for chunk, since in self._since.items() if now >= since + patience_s]
        self._since.update(dict.fromkeys(self._due, now))

    def poll(self) -> list[int]:
        """Those to ask repod for."""
        due, self._due = self._due, []
        return due
