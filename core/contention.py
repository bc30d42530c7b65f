"""Whether this machine has anything to spare: what a program leaves undone where others need the machine more."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["IDLE_SHARE", "WAIT_SHARE", "Contention"]

WAIT_SHARE = 0.2
"""Of the time, spent ready to run and not running: above it this program has to wait for others."""
IDLE_SHARE = 0.2
"""Of all processors' time: below it the machine is close to its limit, whoever it works for."""
_SCHEDSTAT = Path("/proc/thread-self/schedstat")
_STAT = Path("/proc/stat")
_IDLE = slice(3, 5)
"""`idle` and `iowait` of the first line of /proc/stat, proc(5)."""
_LEAST_S = 0.5


class Contention:
    """Of the thread that asks, always the same one, and of the machine. Where the kernel does not tell, the machine
    counts as idle."""

    def __init__(
        self,
        *,
        at_first: bool = True,
        thread: Path = _SCHEDSTAT,
        machine: Path = _STAT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`at_first`: what it is taken for until something is known. A program that has just started is not alone in
        that."""
        self._thread = thread
        self._machine = machine
        self._clock = clock
        self._at: float | None = None
        """When it was looked last; None before the first time, which is on the thread that asks."""
        self._waited_s = 0.0
        self._idle = self._all = 0
        self._busy = at_first

    @property
    def busy(self) -> bool:
        """Whether it was so over the last half second or more."""
        now = self._clock()
        if self._at is None or now >= self._at + _LEAST_S:
            waited_s, (idle, ticks) = self._read_waited(), self._read_machine()
            if self._at is not None:
                waits = waited_s - self._waited_s > WAIT_SHARE * (now - self._at)
                self._busy = waits or idle - self._idle < IDLE_SHARE * (ticks - self._all)
            self._at, self._waited_s, self._idle, self._all = now, waited_s, idle, ticks
        return self._busy

    def _read_waited(self) -> float:
        try:
            return int(self._thread.read_text(encoding="ascii").split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0

    def _read_machine(self) -> tuple[int, int]:
        """Ticks of all processors: without work, and altogether."""
        try:
            line = self._machine.read_text(encoding="ascii").partition("\n")[0]
            ticks = [int(word) for word in line.split()[1:]]
        except (OSError, ValueError):
            return 0, 0
        return sum(ticks[_IDLE]), sum(ticks)
