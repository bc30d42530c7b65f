"""How much this program waits for a processor: what it leaves undone where others need the machine more."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["BUSY_SHARE", "Contention"]

BUSY_SHARE = 0.2
"""Of the time, spent ready to run and not running: above it the machine has nothing to spare."""
_SCHEDSTAT = Path("/proc/thread-self/schedstat")
_LEAST_S = 0.5


class Contention:
    """Of the thread that calls. Where the kernel does not tell, the machine counts as idle."""

    def __init__(self, *, path: Path = _SCHEDSTAT, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._at = clock()
        self._waited_s = self._read()
        self._busy = True
        """Until something is known: a program that has just started is not alone in that."""

    @property
    def busy(self) -> bool:
        """Whether it was so over the last half second or more."""
        now = self._clock()
        if now >= self._at + _LEAST_S:
            waited_s = self._read()
            self._busy = waited_s - self._waited_s > BUSY_SHARE * (now - self._at)
            self._at, self._waited_s = now, waited_s
        return self._busy

    def _read(self) -> float:
        try:
            return int(self._path.read_text(encoding="ascii").split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0
