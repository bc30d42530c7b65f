"""Which chunk goes next: a carousel over what somebody lacks, the most wanted first once all were sent.

A pointer goes round. Chunks never sent before come first: those wanted by more than half as many as the most wanted of
them, then the others, both in the pointer's order, so that a disk is read from front to back, a joiner only adds what
it missed, and who lacks little does not wait for what a newcomer alone lacks. Then come repetitions: every other time
what lets a member go that is nearly done; else, of those wanted by more than half as many as the most wanted one, the
next in the pointer's order, and every eighth time simply the next, so that a lone want is not put off for ever. Where
no chunk is wanted by two, who waits for the fewest goes first, but for that eighth time: the others wait no longer in
all. Repetitions for one member alone share the wire with the repairs of late members, which get nearly all of it: those
are few, end what may be the whole image's wait for somebody, and whoever waits for whole chunks waits no longer in all
than if they came last.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Schedule"]

SCAN_CHUNKS = 1 << 16
FAIR_TURN = 8
LATE_TIMES = 8
"""Late repairs for each symbol that is repeated."""


class Schedule:
    """The carousel of one cast over `counts` (see Demand), which it only reads."""

    def __init__(self, counts: NDArray[np.int32]) -> None:
        self._counts = counts
        self._sent = np.zeros(len(counts), dtype=np.bool_)
        self._pointer = 0
        self._turn = 0
        self._let_go = False
        self._late = 0
        """Late repairs that may go before the next repetition."""
        self.repeating = False
        """Every chunk wanted at the last choice was sent before."""

    def restart(self) -> None:
        """Nobody lacks anything: for who joins from now on nothing counts as sent before."""
        self._sent[:] = False
        self._pointer = 0
        self.repeating = False

    def take(self, nearly_done: int | None = None, fewest: int | None = None) -> int | None:
        """The next chunk to send, or None if nobody lacks any; `nearly_done` is one that a member waits for last,
        `fewest` one of the member that waits for less than others.

        The pointer does not follow these: who waits for the rest gets it in its order.
        """
        chunk = self._fresh_from(self._pointer)
        self.repeating = chunk is None
        self._late = 0
        if chunk is None:
            self._let_go = nearly_done is not None and not self._let_go
            if self._let_go:
                return nearly_done
            most = int(self._counts.max(initial=0))
            self._turn = (self._turn + (most > 0)) % FAIR_TURN
            if most == 1 and self._turn and fewest is not None:
                return fewest
            chunk = self._repeat(most)
        if chunk is None:
            return None
        self._sent[chunk] = True
        self._pointer = (chunk + 1) % len(self._counts)
        return chunk

    def handle_sent(self, symbols: int) -> None:
        """So many originals went out."""
        if self.repeating:
            self._late += LATE_TIMES * symbols

    def handle_late(self, symbols: int) -> None:
        """So many late repairs went out."""
        self._late = max(0, self._late - symbols)

    def yields(self) -> bool:
        """It is the turn of late repairs: all that is wanted was sent before, no chunk by many, and they had less than
        their part."""
        alone = self._late > 0 and int(self._counts.max(initial=0)) <= 1
        return alone and self._fresh_from(self._pointer) is None

    def peek(self, limit: int) -> list[int]:
        """Up to `limit` chunks likely to come next, for reading ahead. Changes nothing."""
        found: list[int] = []
        wanted, fresh = self._counts > 0, ~self._sent
        most_wanted = self._counts > self._most_fresh() // 2
        for mask in (most_wanted & fresh, wanted & ~most_wanted & fresh, wanted & self._sent):
            (ahead,) = mask.nonzero()
            start, room = int(ahead.searchsorted(self._pointer)), limit - len(found)
            found += [*ahead[start : start + room].tolist(), *ahead[: min(start, room)].tolist()][:room]
            if len(found) >= limit:
                break
        return found

    def _fresh_from(self, start: int) -> int | None:
        most = self._most_fresh()
        return self._scan(start, most // 2, fresh_only=True) if most else None

    def _most_fresh(self) -> int:
        """How many lack the most wanted of the chunks that were never sent."""
        return int(self._counts.max(initial=0, where=~self._sent))

    def _repeat(self, most: int) -> int | None:
        if most == 0:
            return None
        return self._scan(self._pointer, most // 2 if self._turn else 0, fresh_only=False)

    def _scan(self, start: int, above: int, *, fresh_only: bool) -> int | None:
        """The first chunk from `start` on, going round, that more than `above` members lack."""
        for first, last in ((start, len(self._counts)), (0, start)):
            for at in range(first, last, SCAN_CHUNKS):
                stop = min(at + SCAN_CHUNKS, last)
                hits = self._counts[at:stop] > above
                if fresh_only:
                    hits &= ~self._sent[at:stop]
                place = int(hits.argmax()) if len(hits) else 0
                if len(hits) and hits[place]:
                    return at + place
        return None
