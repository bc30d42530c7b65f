"""A thread asks for longer turns, and keeps everything else it was given."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from core.timeslice import _ATTRIBUTES, SLICE_S, take_long_turns

SCRIPT = """
import os, threading
{before}
from core.timeslice import take_long_turns
print(take_long_turns(), os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0), flush=True)
threading.Thread(target=lambda: print(os.sched_getscheduler(0))).start()
input()
"""
BACKGROUND = """
import ctypes
from core.startup import step_back
from core.timeslice import _ATTRIBUTES, take_long_turns
def turn():
    found = ctypes.create_string_buffer(_ATTRIBUTES.size)
    assert ctypes.CDLL(None).syscall({call}, 0, found, _ATTRIBUTES.size, 0) == 0
    return _ATTRIBUTES.unpack(found.raw)[5]
usual = turn()
print(usual != {slice}, take_long_turns(), turn() == {slice})
step_back()
print(turn() == usual)
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


def test_where_even_the_question_is_refused_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: int) -> int:
        raise OSError(errno.ENOSYS, "as musl has it")

    monkeypatch.setattr(os, "sched_getscheduler", refuse)
    assert not take_long_turns()


def test_a_program_of_32_bits_calls_by_no_number_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.timeslice.sys", SimpleNamespace(maxsize=2**31 - 1))
    monkeypatch.setattr(os, "sched_getscheduler", lambda thread: pytest.fail("it is about to"))
    assert not take_long_turns()


@pytest.mark.skipif(KERNEL < (6, 12), reason="turns of a length one asks for came with Linux 6.12")
@pytest.mark.skipif(platform.machine() not in GETATTR, reason="the number of sched_getattr on this machine is not here")
def test_a_process_in_the_background_has_not_the_turns_of_the_one_that_started_it() -> None:
    script = BACKGROUND.format(call=GETATTR[platform.machine()], slice=int(SLICE_S * 1e9))
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["True"] * 4


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
