from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.client.conftest import ROOT, Room


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "client", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ogcast ")


def test_errors_become_a_line_a_hint_and_a_code() -> None:
    command = [sys.executable, "-m", "client", "--config", "/no/such/client.toml", "restore", "a", "b"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["restore", "a"], "missing argument"), (["fly"], "no such command"), ([], "missing command")],
)
def test_a_wrong_command_line_is_an_event_too(arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "client", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    event = json.loads(done.stdout)
    assert (done.returncode, event["event"], event["code"]) == (1, "error", 1)
    assert words in event["message"]


INTERRUPTED_AT_AN_IMPORT = """
import signal, sys
from client import __main__ as program

def look(event, about):
    if event == "import" and about[0] == "client.order":
        signal.raise_signal(int(sys.argv.pop()))

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where tests were started in the background
sys.addaudithook(look)
program.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_interrupts_it_while_it_is_imported_reads_a_word_and_no_traceback(number: signal.Signals) -> None:
    command = [sys.executable, "-c", INTERRUPTED_AT_AN_IMPORT, "restore", "a", "b", str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "interrupted\n")


HOW_IT_IS_SCHEDULED = """
import os, sys
from client import __main__ as program

def look(event, about):
    if event == "import" and about[0] == "client.order":
        print(os.sched_getscheduler(0), flush=True)

sys.addaudithook(look)
program.main()
"""


def test_who_takes_an_image_takes_long_turns_and_nobody_else(room: Room) -> None:
    settings = ["--config", str(room.config), "--repo", room.url]
    kinds = []
    for line in ([*settings, "restore", "room1", "null:", "--method", "MULTICAST-DIRECT"], ["--version"]):
        command = [sys.executable, "-c", HOW_IT_IS_SCHEDULED, *line]
        environ = {**os.environ, "OGCAST_STATE_DIR": str(room.state)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ, check=True)
        kinds.append(int(done.stdout.split()[0]))
    assert kinds == [os.SCHED_BATCH, os.sched_getscheduler(0)]
