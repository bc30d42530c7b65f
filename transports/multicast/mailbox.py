"""Calls into a machine that lives on a thread of its own: a bounded queue and a way to wake the thread."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from core.errors import BusyError

__all__ = ["CALLS_MAX", "Mailbox"]

CALLS_MAX = 4096
"""Calls that may wait: a whole room joining at the same moment, several times over."""

_Machine = TypeVar("_Machine")
_Result = TypeVar("_Result")


class Mailbox(Generic[_Machine]):
    """Any thread calls; the machine's thread runs the calls in order. After `close` every call is refused."""

    def __init__(self, *, on_fault: Callable[[Exception], None] | None = None) -> None:
        """`on_fault` hears, on the machine's thread, what a call raised that nobody waits for, and must not raise.
        Without one such a fault is raised there."""
        self._on_fault = on_fault or _raise
        self._lock = threading.Lock()
        # the result type differs from call to call
        self._calls: deque[tuple[Callable[[_Machine, float], Any], Future[Any] | None]] = deque()
        self._closed = False
        self._rung = False
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.refused = 0
        """Calls that found the queue full."""

    def fileno(self) -> int:
        """Readable while calls wait."""
        return self._bell

    def call(self, work: Callable[[_Machine, float], _Result]) -> Future[_Result]:
        """Have `work(machine, now)` run on the machine's thread; the future holds what it returns or raises.

        Never waits. The future fails with BusyError when too many calls wait, or the thread has ended.
        """
        future: Future[_Result] = Future()
        if (refusal := self._put(work, future)) is not None:
            future.set_exception(refusal)
        return future

    def tell(self, work: Callable[[_Machine, float], object]) -> None:
        """As `call`, where nobody waits for the answer: a future costs more than most work. What is refused is lost,
        and counted if too many waited."""
        self._put(work, None)

    def wake(self) -> None:
        """Make `fileno` readable without a call."""
        with self._lock:
            if not self._closed:
                self._ring()

    def run(self, machine: _Machine, now: float) -> int:
        """On the machine's thread: run what waits, return how many calls that were."""
        if not self._rung:  # asked between any two trains: without lock and system call
            return 0
        with self._lock:
            calls = list(self._calls)
            self._calls.clear()
            self._hush()
        for work, future in calls:
            if future is None:
                try:
                    work(machine, now)
                except Exception as error:
                    self._on_fault(error)
            elif future.set_running_or_notify_cancel():
                try:
                    future.set_result(work(machine, now))
                except BaseException as error:
                    future.set_exception(error)
        return len(calls)

    def close(self) -> None:
        """Refuse what waits and what comes. Harmless when repeated."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.close(self._bell)
            calls = list(self._calls)
            self._calls.clear()
        for _, future in calls:
            if future is not None and future.set_running_or_notify_cancel():
                future.set_exception(BusyError("the cast has ended", hint="join again"))

    def _put(self, work: Callable[[_Machine, float], Any], future: Future[Any] | None) -> BusyError | None:
        """Have it wait, and ring; or why not."""
        with self._lock:
            if self._closed:
                return BusyError("the cast has ended", hint="join again")
            if len(self._calls) >= CALLS_MAX:
                self.refused += 1
                return BusyError(f"{CALLS_MAX} calls wait already", hint="try again in a moment")
            self._calls.append((work, future))
            self._ring()
            return None

    def _ring(self) -> None:
        if not self._rung:
            self._rung = True
            os.eventfd_write(self._bell, 1)

    def _hush(self) -> None:
        if self._rung:
            self._rung = False
            os.eventfd_read(self._bell)


def _raise(error: Exception) -> None:
    raise error
