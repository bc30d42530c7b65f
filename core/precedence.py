"""A thread that goes before all others of the machine: for one that keeps time, and needs little else.

What runs as real-time (sched(7)) is woken at once, where a lower `nice` only means more of a processor's time: on a
machine whose processors are all at work a thread of the usual kind waits some milliseconds after each sleep. Where
nobody may ask for that, nothing happens.
"""

from __future__ import annotations

import contextlib
import os

__all__ = ["take", "yield_back"]

_LEAST = os.sched_param(1)
"""The lowest there is: before all of the usual kind, and behind everybody else who asked."""


def take() -> bool:
    """Let the calling thread go first; False where it may not, or was told to stand back (`nice`). Threads and
    processes it starts are of the usual kind."""
    if os.getpriority(os.PRIO_PROCESS, 0) > 0 or os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK != os.SCHED_OTHER:
        return False
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, _LEAST)
        return True
    return False


def yield_back() -> None:
    """Let the calling thread, which had `take` say True, be like any other."""
    with contextlib.suppress(OSError):
        # who is not root may not take the flag back; this thread starts nobody that is to go first
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
