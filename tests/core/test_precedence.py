"""A thread goes first where it may, alone, and takes its place again."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, threading
from core import precedence
{before}
def kind():
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
def nice():
    return os.getpriority(os.PRIO_PROCESS, 0)
def look():
    started = threading.Thread(target=lambda: print(kind() == os.SCHED_OTHER and nice() == {nice}))
    started.start()
    started.join()
def run():
    print(precedence.take(), kind() == os.SCHED_RR)
    look()
    precedence.yield_back()
    print(kind() == os.SCHED_OTHER, nice())
    look()
    print(precedence.take())
thread = threading.Thread(target=run)
thread.start()
thread.join()
print(kind() == os.SCHED_OTHER and nice() == {nice})
"""


def _told(before: str = "", nice: int = 0) -> list[str]:
    command = [sys.executable, "-c", SCRIPT.format(before=before, nice=nice)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.root
def test_one_thread_goes_first_and_nobody_whom_it_starts() -> None:
    assert _told() == ["True", "True", "True", "True", "-10", "True", "True", "True"]


@pytest.mark.root
def test_a_share_that_is_larger_already_is_kept() -> None:
    assert _told("os.nice(-15)", nice=0)[4] == "-15"


@pytest.mark.root
def test_who_may_not_is_told_and_goes_on_as_before() -> None:
    refused = "import resource; resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0)); os.setuid(65534)"
    assert _told(refused) == ["False", "False", "True", "True", "0", "True", "False", "True"]


def test_who_was_told_to_stand_back_does() -> None:
    assert _told("os.nice(3)", nice=3)[:3] == ["False", "False", "True"]
