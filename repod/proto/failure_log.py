"""How often a refused login is worth a log line: a bounded number a minute, the rest only counted. Pure."""

from __future__ import annotations

__all__ = ["FailureLog"]

WINDOW_S = 60.0


class FailureLog:
    """Lets `limit` failures a minute be logged; a flood of them costs counters, not disk."""

    def __init__(self, *, limit: int = 20) -> None:
        self._limit = limit
        self._window = float("-inf")
        self._logged = 0
        self._silent = 0
        self.total = 0
        """Failures ever."""

    def handle_failure(self, *, now: float) -> int | None:
        """Note one; None if it is not to be logged, else how many went by in silence since the last one logged."""
        self.total += 1
        if now - self._window >= WINDOW_S:
            self._window, self._logged = now, 0
        if self._logged >= self._limit:
            self._silent += 1
            return None
        self._logged += 1
        silent, self._silent = self._silent, 0
        return silent
