"""Write order: which of the chunks that wait for the disk go next, and which writes become one."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from typing import Generic, TypeVar

__all__ = ["IOV_MAX", "WriteOrder", "coalesce"]

IOV_MAX = 1024  # POSIX limit of buffers in one pwritev, as Linux has it

T = TypeVar("T")
Buffer = TypeVar("Buffer")


class WriteOrder(Generic[T]):
    """What is pending, taken in rising order from where the last batch ended, then again from the lowest.

    One sweep upwards and a jump back: a disk head, or a flash translation layer, sees mostly sequential writes even
    when chunks arrive in any order. Bounded by the caller, who adds only what fits in its arena.
    """

    __slots__ = ("_head", "_items", "_positions")

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._items: dict[int, T] = {}
        self._head = 0

    def __len__(self) -> int:
        return len(self._positions)

    def handle_ready(self, position: int, item: T) -> None:
        """`item` may be written at `position`. A position is pending at most once."""
        if position in self._items:
            raise ValueError(f"position {position} is pending already")
        bisect.insort(self._positions, position)
        self._items[position] = item

    def poll_batch(self, most: int) -> list[tuple[int, T]]:
        """Up to `most` items at neighbouring positions, in order; empty when nothing is pending."""
        if not self._positions:
            return []
        first = bisect.bisect_left(self._positions, self._head)
        if first == len(self._positions):
            first = 0
        stop = first + 1
        while (
            stop < len(self._positions)
            and stop - first < most
            and self._positions[stop] == self._positions[stop - 1] + 1
        ):
            stop += 1
        taken = self._positions[first:stop]
        del self._positions[first:stop]
        self._head = taken[-1] + 1
        return [(position, self._items.pop(position)) for position in taken]


def coalesce(runs: Iterable[tuple[int, int, Buffer]]) -> list[tuple[int, list[Buffer]]]:
    """Join `(offset, length, buffer)` runs that follow each other into `(offset, buffers)`, at most IOV_MAX each."""
    joined: list[tuple[int, list[Buffer]]] = []
    end = -1
    for offset, length, buffer in runs:
        if offset == end and len(joined[-1][1]) < IOV_MAX:
            joined[-1][1].append(buffer)
        else:
            joined.append((offset, [buffer]))
        end = offset + length
    return joined
