"""Virtual time: one heap of things to happen, in order of time and then of asking."""

from __future__ import annotations

import heapq
from collections.abc import Callable

__all__ = ["Clock", "TooManySteps"]


class TooManySteps(RuntimeError):
    """A simulation did not come to an end within its bound: two machines keep each other busy."""


class Clock:
    """Runs callbacks at their time; nothing takes any."""

    def __init__(self, *, steps: int = 5_000_000) -> None:
        self.now = 0.0
        """Seconds since the beginning."""
        self._steps_left = steps
        self._order = 0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, time: float, call: Callable[[], None]) -> None:
        """Call `call` at `time`, or now if that is past."""
        self._order += 1
        heapq.heappush(self._heap, (max(time, self.now), self._order, call))

    def run(self, *, until: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Go on until `stop` says so, nothing is left to happen, or `until`. Raises TooManySteps."""
        while self._heap and not stop():
            if self._heap[0][0] > until:
                self.now = until
                return
            if self._steps_left <= 0:
                raise TooManySteps(f"still busy at {self.now:.3f} s")
            self._steps_left -= 1
            self.now, _, call = heapq.heappop(self._heap)
            call()
