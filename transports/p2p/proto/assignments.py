"""Assignments: the chunks repod said this member is to take from the origin, and those it gives back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from transports.p2p.proto.picker import Picker

__all__ = ["ORIGIN_WAIT_S", "Assignments"]

ORIGIN_WAIT_S = 2.0
"""Assignments are kept so long while the origin's lane is not open."""


class Assignments:
    """In the order they were given. The picker is told which chunks no neighbour is to be asked for."""

    def __init__(self, picker: Picker, now: float) -> None:
        self._picker = picker
        self._mine: dict[int, None] = {}
        self._failed: dict[int, None] = {}
        self._last_at = now

    def __iter__(self) -> Iterator[int]:
        return iter(self._mine)

    def __len__(self) -> int:
        return len(self._mine)

    def __contains__(self, chunk: object) -> bool:
        return chunk in self._mine

    def add(self, take: Iterable[int], refuse: Iterable[int], now: float) -> None:
        """Repod assigned these: the ones to take, and those that are had already."""
        self._failed.update(dict.fromkeys(refuse))
        self._mine.update(dict.fromkeys(take))
        self._last_at = now
        self._reserve()

    def remove(self, chunk: int) -> bool:
        """Not to be taken any more; True if it was to be."""
        was = chunk in self._mine
        self._mine.pop(chunk, None)
        self._reserve()
        return was

    def give_back(self, chunks: Iterable[int]) -> None:
        """These will not be brought; repod is told."""
        for chunk in chunks:
            if chunk in self._mine:
                del self._mine[chunk]
                self._failed[chunk] = None
        self._reserve()

    def clear(self) -> None:
        """Repod is out of reach: nobody waits for these any more."""
        self._mine.clear()
        self._failed.clear()
        self._reserve()

    def handle_no_origin(self, now: float) -> None:
        """The origin's lane is not open."""
        if now >= self._last_at + ORIGIN_WAIT_S:
            self.give_back(list(self._mine))

    def poll_failed(self) -> list[int]:
        """Assignments given back since the last call."""
        failed = list(self._failed)
        self._failed.clear()
        return failed

    def _reserve(self) -> None:
        self._picker.reserve(self._mine)
