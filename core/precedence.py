"""A thread that goes before others of the machine: before all of them while it needs little, by weight otherwise.

What runs as real-time (sched(7)) is woken at once, where a lower `nice` only means more of a processor's time: on a
machine whose processors are all at work a thread of the usual kind waits some milliseconds after each sleep. Who needs
much of a processor would keep it from everybody else so, and has a larger share of it instead. Where nobody may ask for
that, nothing happens.
"""

from __future__ import annotations

import contextlib
import os

__all__ = ["take", "yield_back"]

_LEAST = os.sched_param(1)
"""The lowest there is: before all of the usual kind, and behind everybody else who asked."""
_AHEAD_NICE = -10
"""Nine times the share of those at 0, where there is not enough for all."""


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
    """Let the calling thread, which had `take` say True, take turns with others, with a larger share than theirs."""
    with contextlib.suppress(OSError):
        # who is not root may not take the flag back; this thread starts nobody that is to go first
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        # of this thread alone (sched(7)); `take` and threads it starts know nothing of it
        os.setpriority(os.PRIO_PROCESS, 0, min(_AHEAD_NICE, os.getpriority(os.PRIO_PROCESS, 0)))
