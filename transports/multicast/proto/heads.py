"""Which part of a chunk is sent when the carousel comes round to it: mostly all, sometimes its head or the rest alone.

Who joins in the middle of a chunk misses its head, rows 0 … now, and gets it when the carousel is there again. If those
wait for little more, and others that lack the whole chunk for much, the head goes alone: what only a late joiner lacks
comes after what the others wait for. It has the head as well then, and later gets the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.demand import Demand

__all__ = ["Heads", "Part"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is to be sent of a chunk."""

    wanting: int
    """How many wait for it."""
    first: int = 0
    """The first row."""
    stop: int | None = None
    """The row behind the last; None: to the end."""


class Heads:
    """Of the chunks that somebody has a part of: member place to the row where what it lacks ends, or begins."""

    def __init__(self) -> None:
        self._heads: dict[int, dict[int, int]] = {}
        self._rests: dict[int, dict[int, int]] = {}

    def handle_joined(self, place: int, chunk: int, row: int, demand: Demand) -> None:
        """The member at `place` joined while `chunk` is being sent to its end: it will see rows `row` … only."""
        if not demand.wants(place, chunk):
            return
        if row == 0:
            demand.withdraw(place, chunk)
        else:
            self._heads.setdefault(chunk, {})[place] = row

    def handle_missed(self, place: int, chunk: int, rows: int) -> None:
        """The member at `place` says that it lacks so many rows of what was sent of `chunk`: more than its head, if it
        could not listen yet when it was told that it is a member. Nothing changes for who lacks no head of it."""
        if place in (heads := self._heads.get(chunk, {})):
            heads[place] = max(heads[place], rows)

    def handle_whole(self, place: int, chunk: int) -> None:
        """The member at `place` has nothing of `chunk`."""
        for table in (self._heads, self._rests):
            table.get(chunk, {}).pop(place, None)

    def forget(self, place: int, chunks: NDArray[np.bool_] | None = None) -> None:
        """The member at `place` lacks nothing any more, or left, or what it says it lacks it lacks as a whole: all of
        it, or these `chunks`, one flag each."""
        for table in (self._heads, self._rests):
            for chunk, rows in list(table.items()):
                if chunks is None or chunks[chunk]:
                    rows.pop(place, None)
                if not rows:
                    del table[chunk]

    def take(self, chunk: int, demand: Demand) -> Part:
        """What to send of `chunk` now that it is its turn; whom it serves wants it no more in `demand`."""
        wanting = demand.places(chunk)
        heads = {place: row for place, row in self._heads.pop(chunk, {}).items() if place in wanting}
        rests = {place: row for place, row in self._rests.pop(chunk, {}).items() if place in wanting}
        others = [place for place in wanting if place not in heads]
        near = all(demand.is_near(place) for place in heads)
        if heads and others and near and not any(demand.is_near(place) for place in others):
            stop = max(heads.values())
            for place in heads:
                demand.withdraw(place, chunk)
            self._rests[chunk] = {place: max(stop, rests.get(place, 0)) for place in others}
            return Part(wanting=len(heads), stop=stop)
        return Part(
            wanting=demand.take(chunk),
            first=min(rests.values()) if rests and len(rests) == len(wanting) else 0,
            stop=max(heads.values()) if heads and not others else None,
        )
