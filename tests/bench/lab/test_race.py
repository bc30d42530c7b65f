"""A race tells of every process when it ended and what it cost, and ends none too late."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.lab.race import Race, end
from core.errors import OgcastError


def _start(program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", program])


def test_each_process_is_timed_and_its_cpu_counted() -> None:
    race = Race()
    race.add("worker", _start("for n in range(3_000_000): pass"))
    race.add("failing", _start("raise SystemExit(3)"))
    finished = race.wait(timeout_s=30)
    assert finished["worker"].code == 0
    assert finished["worker"].cpu_s > 0.02
    assert finished["failing"].code == 3
    assert all(0 <= one.started_s <= one.ended_s for one in finished.values())


def test_a_process_added_by_a_plan_starts_later() -> None:
    race = Race()
    race.at(0.2, lambda: race.add("late", _start("")))
    finished = race.wait(timeout_s=30)
    assert finished["late"].started_s >= 0.2
    assert finished["late"].seconds == finished["late"].ended_s - finished["late"].started_s


def test_what_takes_too_long_is_killed() -> None:
    race = Race()
    race.add("endless", _start("import time; time.sleep(1000)"))
    race.at(500, lambda: None)
    assert race.wait(timeout_s=0.3)["endless"].code == -9


def test_one_is_killed_by_name_while_it_runs_and_not_afterwards() -> None:
    race = Race()
    race.add("endless", _start("import time; time.sleep(1000)"))
    race.at(0.1, lambda: race.kill("endless"))
    assert race.wait(timeout_s=30)["endless"].code == -9
    with pytest.raises(OgcastError, match="endless"):
        race.kill("endless")


def test_samples_come_with_rising_time() -> None:
    times: list[float] = []
    race = Race()
    race.add("short", _start("import time; time.sleep(0.2)"))
    race.wait(timeout_s=30, sample=times.append)
    assert len(times) > 3
    assert times == sorted(times)


def test_closing_ends_what_runs_and_is_harmless_twice() -> None:
    race = Race()
    process = _start("import time; time.sleep(1000)")
    race.add("endless", process)
    race.close()
    race.close()
    assert process.returncode is not None
    end(process)
