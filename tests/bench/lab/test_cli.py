"""A lab made by hand is shown, changed, used and removed; removing it twice is harmless."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.lab import shell
from bench.site import ROOT


def _lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", "lab", *words], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("command", ["", "up", "down", "show", "set", "run"])
def test_help_teaches_by_example(command: str) -> None:
    shown = _lab(*command.split(), "--help")
    assert shown.returncode == 0
    assert f"\n    python -m bench lab {command}" in shown.stdout.partition("Examples:")[2]


@pytest.mark.root
@pytest.mark.skipif(bool(shell.missing()), reason=shell.missing() or "-")
def test_a_lab_by_hand() -> None:
    name = f"test{os.getpid()}"
    try:
        made = _lab("up", "--clients", "2", "--rate", "50", "--name", name)
        assert "10.77.0.3" in made.stdout, made.stderr
        assert _lab("set", "c1", "--rate", "10", "--loss", "1", "--no-multicast", "--name", name).returncode == 0
        assert "10.77.0.2" in _lab("run", "--name", name, "c1", "--", "ip", "addr").stdout
        assert "c2" in _lab("show", "--name", name).stdout
        assert "4 hosts removed" in _lab("down", "--name", name).stdout
        assert "0 hosts removed" in _lab("down", "--name", name).stdout
    finally:
        shell.remove(name)


@pytest.mark.root
@pytest.mark.skipif(bool(shell.missing()), reason=shell.missing() or "-")
def test_a_lab_that_is_not_there_is_said() -> None:
    shown = _lab("show", "--name", "nosuchlab")
    assert shown.returncode != 0
    assert "bench lab up" in shown.stderr
