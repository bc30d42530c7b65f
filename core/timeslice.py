"""Longer turns on a processor, for a program that works through megabytes at a time.

Where more wants to run than there are processors, Linux lets each thread run for some 3 ms and then another one, and at
once whoever was woken meanwhile. What handles a batch of packets, or a chunk, has just filled a processor's cache then.
A thread may say that it is in no hurry when woken (SCHED_BATCH) and, since Linux 6.12, how long its turns are to be: it
waits longer for each, and has as much time in all (sched(7), sched_setattr(2)). Threads it starts later have the same.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys

__all__ = ["SLICE_S", "take_long_turns", "take_usual_turns"]

SLICE_S = 0.02
"""From 0.1 to 100 ms are allowed. As long as a batch of packets and the chunk it ends take where others want to run."""

_CALL = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
"""sched_setattr, by machine (asm/unistd_64.h, asm-generic/unistd.h); glibc has a function for it since 2.41."""
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""struct sched_attr: size, policy, flags, nice, priority, runtime (here: of a turn, in ns), deadline, period."""


def take_long_turns() -> bool:
    """Let the calling thread interrupt nobody, and ask for turns of SLICE_S. False where that cannot be had, or where
    it was told to run as others do not. Its priority stays; of turns, kernels before 6.12 know nothing."""
    return _ask(os.SCHED_BATCH, SLICE_S, of=(os.SCHED_OTHER,))


def take_usual_turns() -> bool:
    """Undo that, for a process whose parent did it: it has the parent's turns, and keeps them under SCHED_IDLE."""
    return _ask(os.SCHED_OTHER, 0, of=(os.SCHED_OTHER, os.SCHED_BATCH))


def _ask(policy: int, turn_s: float, *, of: tuple[int, ...]) -> bool:
    """Of a thread that runs as one of `of`; a turn of 0 is that of the system."""
    call = _CALL.get(os.uname().machine) if sys.maxsize >> 32 else None  # programs of 32 bits have other numbers
    if call is None:
        return False
    with contextlib.suppress(OSError):  # a sandbox may refuse the question already, and musl does not know it
        if os.sched_getscheduler(0) in of:
            nice = os.getpriority(os.PRIO_PROCESS, 0)
            wish = _ATTRIBUTES.pack(_ATTRIBUTES.size, policy, 0, nice, 0, int(turn_s * 1e9), 0, 0)
            return bool(ctypes.CDLL(None).syscall(call, 0, wish, 0) == 0)
    return False
