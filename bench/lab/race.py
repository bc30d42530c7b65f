"""Several processes at once: when each of them started and ended, how, and what it cost."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import OgcastError

__all__ = ["Finish", "Race", "end"]

TICK_S = 0.02
GRACE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """One process that has ended. Times are seconds since the race began."""

    code: int
    """Its exit code; negative: the signal that ended it."""
    started_s: float
    ended_s: float
    cpu_s: float
    """User and system time."""

    @property
    def seconds(self) -> float:
        """How long it ran, its own start-up included."""
        return self.ended_s - self.started_s


class Race:
    """Processes that are added and waited for; nobody else may collect them, or their CPU time is lost.

    The clock starts when the race is made.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.began_at = time.time()
        """The clock of files when the race began."""
        self._running: dict[int, tuple[str, subprocess.Popen[bytes], float]] = {}
        self._poller = select.poll()
        self._plans: list[tuple[float, Callable[[], object]]] = []
        self.finished: dict[str, Finish] = {}

    @property
    def now_s(self) -> float:
        """Seconds since the race began."""
        return time.perf_counter() - self._began

    def add(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Count a process that was started just now."""
        fd = os.pidfd_open(process.pid)
        self._poller.register(fd, select.POLLIN)
        self._running[fd] = (name, process, self.now_s)

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something at a time of the race; the race does not end before."""
        self._plans.append((seconds, action))
        self._plans.sort(key=lambda plan: plan[0])

    def kill(self, name: str) -> None:
        """SIGKILL for a process that still runs. Whose number it is meanwhile does not matter: nobody else collects it.

        OgcastError if it has ended before, or was never added: what was to be seen is not seen then.
        """
        process = next((process for one, process, _ in self._running.values() if one == name), None)
        if process is None:
            raise OgcastError(f"{name} was to be killed while it ran, and does not run", hint="a larger --size")
        os.kill(process.pid, signal.SIGKILL)

    def wait(self, *, timeout_s: float, sample: Callable[[float], None] | None = None) -> dict[str, Finish]:
        """Wait until every process has ended; after `timeout_s` those that have not are killed (their code says so).

        `sample` is called with the time of the race about every TICK_S.
        """
        killed = False
        while self._running or self._plans:
            for fd, _ in self._poller.poll(TICK_S * 1000):
                self._collect(fd)
            now = self.now_s
            while self._plans and self._plans[0][0] <= now:
                self._plans.pop(0)[1]()
            if sample is not None:
                sample(now)
            if now > timeout_s and not killed:
                killed = True
                self._plans.clear()
                for _, process, _ in self._running.values():
                    process.kill()
        return self.finished

    def close(self) -> None:
        """End what still runs; harmless when repeated."""
        for _, process, _ in self._running.values():
            end(process)
        for fd in self._running:
            os.close(fd)
        self._running.clear()

    def _collect(self, fd: int) -> None:
        name, process, started_s = self._running.pop(fd)
        ended_s = self.now_s
        self._poller.unregister(fd)
        os.close(fd)
        cpu_s = 0.0
        if process.returncode is None:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu_s = usage.ru_utime + usage.ru_stime
        self.finished[name] = Finish(code=process.returncode, started_s=started_s, ended_s=ended_s, cpu_s=cpu_s)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process that is still running, kindly first."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
