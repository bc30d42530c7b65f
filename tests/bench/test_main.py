"""What a new user is shown can be typed as it stands."""

from __future__ import annotations

import shlex
import subprocess
import sys

from bench.__main__ import EXAMPLES
from bench.scenario import choose_scenarios
from bench.site import ROOT


def _lines() -> list[str]:
    return [line for line in EXAMPLES.splitlines() if "python -m bench" in line]


def test_every_example_names_what_there_is() -> None:
    words = [shlex.split(line.partition("-m bench ")[2])[0] for line in _lines()]
    assert len(words) > 5
    for word in words:
        assert word in ("list", "report", "lab") or choose_scenarios(word)


def test_help_shows_each_example_in_one_line() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for line in _lines():
        assert line.strip() in [each.strip() for each in shown.splitlines()]


def test_a_folder_that_is_not_there_is_wrong_usage() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "codec", "--folder", "/no/such/folder"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_wrong_usage_of_the_lab_ends_as_that_of_other_commands() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "lab", "nosuch"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, "nosuch" in done.stderr) == (1, True)
