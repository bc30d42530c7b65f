"""What a command settles first holds for all that it imports afterwards."""

from __future__ import annotations

import subprocess
import sys

from core.startup import COLLECT_EVERY

SCRIPT = """
import gc, os
from core.startup import settle, unwind
settle()
print(gc.get_threshold()[0], os.environ["OPENBLAS_NUM_THREADS"])
import numpy
print(len(os.listdir("/proc/self/task")))
unwind()
print(gc.get_freeze_count() > 0)
"""


def _run(**environment: str) -> list[str]:
    command = [sys.executable, "-c", SCRIPT]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_garbage_is_sought_seldom_and_no_thread_of_algebra_starts() -> None:
    assert _run() == [str(COLLECT_EVERY), "1", "1", "True"]


def test_what_the_environment_says_of_algebra_stays() -> None:
    assert _run(OPENBLAS_NUM_THREADS="2")[1] == "2"


def test_a_process_in_the_background_starts_behind_all_others_and_then_takes_part() -> None:
    script = """
import os, threading
from core.startup import step_back, step_up
def kinds():
    return {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}
step_back()
over = threading.Event()
thread = threading.Thread(target=over.wait)
thread.start()
print(kinds() == {os.SCHED_IDLE})
step_up()
print(kinds() == {os.SCHED_OTHER}, os.nice(0) > 0)
over.set()
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["True"] * 3
