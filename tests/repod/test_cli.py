"""The command line: every command teaches by examples, and starting is quick."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.cli import run
from repod.cli import app

COMMANDS = ["init", "serve", "import", "ls", "show", "verify", "export", "rm", "gc", "diff", "token"]
HEAVY = ("numpy", "aiohttp", "cryptography", "structlog", "rich")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, [command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Examples:" in text
    assert f"repod {command} /srv/images" in text


def test_no_command_shows_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {command} " in text for command in COMMANDS)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["--version"]) == 0
    assert capsys.readouterr().out.startswith("ogcast ")


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, repod.cli; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
