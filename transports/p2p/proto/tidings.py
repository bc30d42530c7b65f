"""Tidings: what a peer has still to tell each of its neighbours of what it holds.

In a room of sixteen a chunk is told of 240 times, and every time somebody is woken. Half of those who are told hold it
already; they hear of it together with the next chunk that they lack, or when that takes too long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["PATIENT_S", "Tidings"]

PATIENT_S = 1.0
"""Who holds a chunk already hears that it can be had here as well after so long at most."""


class Tidings:
    """Of one image. Lanes are named by a number."""

    def __init__(self, has: Callable[[int, int], bool]) -> None:
        """`has` says whether the one at a lane, the first argument, is known to hold a chunk, the second."""
        self._has = has
        self._untold: dict[int, list[int]] = {}
        self._due: dict[int, float] = {}
        """When a lane that has something untold is told of it."""

    @property
    def deadline(self) -> float:
        """When `poll` has something next; infinity while nothing is untold."""
        return min(self._due.values(), default=float("inf"))

    def join(self, lane: int) -> None:
        """Somebody to tell from now on."""
        self._untold[lane] = []

    def forget(self, lane: int) -> None:
        """It is closed."""
        self._untold.pop(lane, None)
        self._due.pop(lane, None)

    def handle_held(self, chunks: Iterable[int], now: float) -> None:
        """These are held since."""
        chunks = list(chunks)
        for lane, untold in self._untold.items():
            untold.extend(chunks)
            known = all(self._has(lane, chunk) for chunk in chunks)
            due = now + PATIENT_S if known else now
            self._due[lane] = min(due, self._due.get(lane, due))

    def handle_gone(self, chunks: Iterable[int]) -> None:
        """These are not held any more: nobody is told that they are."""
        gone = set(chunks)
        for lane, untold in self._untold.items():
            if not gone.isdisjoint(untold):
                untold[:] = [chunk for chunk in untold if chunk not in gone]
                if not untold:
                    del self._due[lane]

    def poll(self, now: float) -> list[tuple[int, list[int]]]:
        """(lane, chunks) of all who are to be told now."""
        due = [lane for lane, at in self._due.items() if now >= at]
        told: list[tuple[int, list[int]]] = []
        for lane in due:
            del self._due[lane]
            told.append((lane, self._untold[lane]))
            self._untold[lane] = []
        return told
