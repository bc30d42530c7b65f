from __future__ import annotations

import subprocess
import sys

import pytest

from client.app import app
from core.cli import run


@pytest.mark.parametrize("command", [[], ["restore"], ["update-cache"], ["deploy"], ["capture"], ["relay"]])
def test_every_command_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, [*command, "--help"]) == 0
    said = capsys.readouterr().out
    assert "Usage" in said
    assert "  ogcast --config client.toml " in said


@pytest.mark.parametrize("verb", ["ls", "verify", "rm", "gc"])
def test_every_cache_command_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["cache", verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert "Usage" in said
    assert f"  ogcast --config client.toml cache {verb}" in said


@pytest.mark.parametrize("option", ["--json", "--config", "--repo"])
def test_an_option_after_the_command_is_sent_before_it(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["cache", "ls", option]) == 1
    said = capsys.readouterr().err
    assert "hint: it goes before the command: " in said
    assert f" {option} … cache ls …" in said


def test_wrong_usage_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["restore", "--no-such-option"]) == 1
    assert run(app, ["fly"]) == 1
    assert "hint:" in capsys.readouterr().err


def test_the_command_line_starts_without_what_only_transfers_need() -> None:
    heavy = {"numpy", "rich.progress", "structlog", "cryptography", "zstandard", "aiohttp", "blake3"}
    code = f"import client.__main__, client.run, sys; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_first_request_goes_out_without_what_only_transfers_need() -> None:
    heavy = {"numpy", "rich.progress", "structlog", "cryptography", "zstandard", "blake3"}
    code = f"import client.__main__, client.control, sys; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
