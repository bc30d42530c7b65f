from __future__ import annotations

import subprocess
import sys


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "client", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ogcast ")


def test_errors_become_a_line_a_hint_and_a_code() -> None:
    command = [sys.executable, "-m", "client", "--config", "/no/such/client.toml", "restore", "a", "b"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
