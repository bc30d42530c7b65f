"""What a command settles first holds for all that it imports afterwards."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from core.startup import AUTOGROUP, COLLECT_EVERY, FORWARD, UNSAID

SCRIPT = """
import gc, os
from core.startup import settle
settle()
print(gc.get_threshold()[0], os.environ["OPENBLAS_NUM_THREADS"])
import numpy
print(len(os.listdir("/proc/self/task")))
"""


def _run(**environment: str) -> list[str]:
    command = [sys.executable, "-c", SCRIPT]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_garbage_is_sought_seldom_and_no_thread_of_algebra_starts() -> None:
    assert _run() == [str(COLLECT_EVERY), "1", "1"]


def test_what_the_environment_says_of_algebra_stays() -> None:
    assert _run(OPENBLAS_NUM_THREADS="2")[1] == "2"


def test_numpy_comes_without_its_texts_and_computes_as_ever() -> None:
    script = """
from importlib.machinery import PathFinder
from core.startup import settle
settle()
import numpy
names = "_add_newdocs", "_add_newdocs_scalars"
texts = [PathFinder.find_spec(f"numpy._core.{name}", numpy._core.__path__) for name in names]
print(numpy.ndarray.__doc__, all(texts), numpy.arange(4, dtype=numpy.uint8).sum())
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["None", "True", "6"]  # True: they would be there, so that something is saved


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


@pytest.mark.parametrize(
    ("given", "kept"),
    [pytest.param(0, FORWARD, marks=pytest.mark.root), (7, 7)],
)
def test_a_daemon_steps_forward_with_its_threads_unless_it_was_told_where_to_stand(given: int, kept: int) -> None:
    script = f"""
import os, threading
os.setpriority(os.PRIO_PROCESS, 0, {given})
from core.startup import step_forward
step_forward()
thread = threading.Thread(target=lambda: print(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
thread.start()
thread.join()
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert int(told) == kept


def test_who_may_not_step_forward_stays_where_it_is() -> None:
    script = """
import os
from core.startup import step_forward
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
step_forward()
print(os.getpriority(os.PRIO_PROCESS, 0))
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert int(told) == 0


@pytest.mark.skipif(not os.path.exists(AUTOGROUP), reason="this kernel does not group processes by session")
@pytest.mark.parametrize(("leads", "weights"), [(True, ["19", "5"]), (False, ["as", "before"])])
def test_a_session_in_the_background_weighs_as_little_as_its_process(leads: bool, weights: list[str]) -> None:
    # The kernel's first session, where a container may run everything, has no weight to tell: its file is empty.
    script = """
from core.startup import AUTOGROUP, step_back, step_up
def weight():
    return (open(AUTOGROUP).read().split() or ["none"])[-1]
before = weight()
step_back()
low = weight()
step_up()
print(*(("as", "before") if low == weight() == before else (low, weight())))
"""
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, start_new_session=leads
    ).stdout
    assert told.split() == weights


@pytest.mark.parametrize("code", [0, 7])
def test_the_last_words_are_said_and_the_code_is_kept(code: int) -> None:
    script = f"""
import atexit, sys
from core.startup import leave
atexit.register(print, "taken apart")
print("said"); print("complained", file=sys.stderr)
leave({code})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "said\n", "complained\n")


def test_a_thread_with_work_left_is_waited_for() -> None:
    script = """
import threading
from core.startup import leave
def work():
    over.wait()
    print("finished")
over = threading.Event()
threading.Thread(target=work).start()
threading.Timer(0.2, over.set).start()
leave(3)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "finished\n")


@pytest.mark.parametrize(("code", "told"), [(0, UNSAID), (7, 7)])
def test_words_that_nobody_takes_are_no_success(code: int, told: int) -> None:
    script = f"""
from core.startup import leave
print("x")
leave({code})
"""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-E", "-c", script], stdout=full, stderr=subprocess.DEVNULL)
    assert done.returncode == told
