"""A thread asks for longer turns, and keeps everything else it was given."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys

import pytest

from core.timeslice import _ATTRIBUTES, SLICE_S

SCRIPT = """
import os, threading
{before}
from core.timeslice import take_long_turns
print(take_long_turns(), os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0), flush=True)
threading.Thread(target=lambda: print(os.sched_getscheduler(0))).start()
input()
"""
GETATTR = {"x86_64": 315, "aarch64": 275}
KERNEL = tuple(int(part) for part in platform.release().split(".")[:2])


def _begin(before: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT.format(before=before)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _said(before: str = "") -> list[str]:
    with _begin(before) as process:
        return process.communicate("\n")[0].split()


def test_who_was_given_a_priority_keeps_it() -> None:
    assert _said("os.nice(3)") == ["True", str(os.SCHED_BATCH), "3", str(os.SCHED_BATCH)]


def test_who_runs_as_others_do_not_is_left_alone() -> None:
    idle = str(os.SCHED_IDLE)
    assert _said("os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))") == ["False", idle, "0", idle]


@pytest.mark.skipif(KERNEL < (6, 12), reason="turns of a length one asks for came with Linux 6.12")
@pytest.mark.skipif(platform.machine() not in GETATTR, reason="the number of sched_getattr on this machine is not here")
def test_the_kernel_was_told_how_long() -> None:
    with _begin() as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("True")
        found = ctypes.create_string_buffer(_ATTRIBUTES.size)
        call = GETATTR[platform.machine()]
        assert ctypes.CDLL(None).syscall(call, process.pid, found, _ATTRIBUTES.size, 0) == 0
        assert _ATTRIBUTES.unpack(found.raw)[5] == int(SLICE_S * 1e9)
        process.communicate("\n")
