"""Needs: chunks that nobody within reach has and nobody is getting. Repod is asked when that lasts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from transports.p2p.proto.limits import NEED_AFTER_S
from transports.p2p.proto.pace import Pace

__all__ = ["NEED_CHUNKS", "NEED_LONGEST_S", "Needs"]

NEED_PERIODS = 32
"""Chunks need time to go from peer to peer: so many times what one takes to come, if that is longer …"""
NEED_LONGEST_S = 10.0
"""… but no longer than this."""
NEED_PACES = 2.0
"""Who holds a chunk says so on a lane between two others: it may have been there for so many times what one takes, if
that is longer …"""
NEED_PACES_MOST_S = 60.0
"""… but no longer than this."""
_KEEP = 0.875

NEED_CHUNKS = 8
"""Named at a time: the lowest, which hold up the window. Alone, the next are named when fewer are on their way."""


class Needs:
    """Each chunk is named again as long as it is lacking, every NEED_AFTER_S seconds at most.

    A peer is alone from the first time it names something while nothing comes and a neighbour does not even say what it
    holds. Repod, which counts on that neighbour, assigns nothing by itself then: as long as that lasts, what is named
    is brought, and the next are named without waiting.
    """

    def __init__(self, pace: Pace) -> None:
        """`pace` is read, never changed."""
        self._pace = pace
        self._period_s = 0.0
        self._since: dict[int, float] = {}
        self._due: list[int] = []
        self._alone = False
        self._named: set[int] = set()
        """Alone: what was named and not assigned yet."""

    def is_starving(self, quiet_s: float, *, idle: bool, unheard: bool) -> bool:
        """Whatever is lacking is to be named: nothing came for `quiet_s`, and if `idle` nothing is on its way.
        `unheard`: a neighbour has not said what it holds."""
        return self._alone or (idle and (unheard or quiet_s >= NEED_AFTER_S))

    def handle_assigned(self, chunks: Iterable[int]) -> None:
        """Repod assigned these. One that was not named: it goes on by itself again."""
        if self._alone and not self._named.issuperset(chunks):
            self._end_alone()
        self._named.difference_update(chunks)

    def handle_arrival(self, since_last_s: float) -> None:
        """A chunk came, so long after the one before."""
        self._period_s = _KEEP * self._period_s + (1 - _KEEP) * since_last_s

    def handle_lacking(
        self, chunks: Sequence[int], now: float, *, starving: bool = False, unheard: bool = False, coming: int = 0
    ) -> None:
        """All that cannot be had now, in rising order. `starving`, `unheard`: see `is_starving`; `coming`: how many are
        assigned."""
        if not unheard:
            self._end_alone()
        if self._alone and coming >= NEED_CHUNKS:
            return
        patience_s = NEED_AFTER_S if starving else self._patience_s
        since = now - patience_s if self._alone else now
        self._since = {chunk: self._since.get(chunk, since) for chunk in chunks[:NEED_CHUNKS]}
        self._due = [chunk for chunk, since in self._since.items() if now >= since + patience_s]
        self._since.update(dict.fromkeys(self._due, now))
        self._alone = self._alone or (starving and unheard and bool(self._due))
        if self._alone:
            self._named.update(self._due)

    @property
    def _patience_s(self) -> float:
        paces_s = min(NEED_PACES * self._pace.expected_s, NEED_PACES_MOST_S)
        return max(NEED_AFTER_S, min(NEED_PERIODS * self._period_s, NEED_LONGEST_S), paces_s)

    def poll(self) -> list[int]:
        """Those to ask repod for."""
        due, self._due = self._due, []
        return due

    def _end_alone(self) -> None:
        self._alone = False
        self._named.clear()
