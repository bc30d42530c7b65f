"""`python -m repod` is the command."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from repod.layout import Layout


def test_wrong_usage_ends_with_code_1() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "repod", "nothing"], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "error: " in result.stderr
    assert "Traceback" not in result.stderr


INTERRUPTED_AT_AN_IMPORT = """
import signal, sys
from repod import __main__ as program

def look(event, about):
    if event == "import" and about[0] == sys.argv[-1]:
        signal.raise_signal(int(sys.argv[-2]))

sys.addaudithook(look)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where tests were started in the background
program.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_interrupts_it_while_it_is_imported_reads_a_word_and_no_traceback(number: signal.Signals) -> None:
    command = [sys.executable, "-c", INTERRUPTED_AT_AN_IMPORT, str(int(number)), "repod.cli"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "interrupted\n")


TERMINATED_WHILE_IT_EXPORTS = """
import os, signal, sys
from repod import __main__ as program

def look(event, about):
    if event == "os.truncate":
        signal.raise_signal(signal.SIGTERM)

sys.addaudithook(look)
program.main()
"""


def test_sigterm_leaves_no_half_written_export(layout: Layout, tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.write_bytes(b"x" * 70_000)
    out.mkdir()
    run = [sys.executable, "-m", "repod", "import", layout.root, source, "--name", "a", "--format", "raw"]
    subprocess.run(run, check=True, capture_output=True)
    command = [sys.executable, "-c", TERMINATED_WHILE_IT_EXPORTS, "export", layout.root, "a", out / "a.raw"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "interrupted\n")
    assert list(out.iterdir()) == []
