"""The outermost frame: message, hint and exit code, never a traceback unless asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from core.cli import DebugOption, run
from core.errors import NotFoundError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def _options(debug: DebugOption = False) -> None:
    """A program."""


@app.command()
def fail(how: str) -> None:
    """Fail in one of several ways."""
    match how:
        case "known":
            raise NotFoundError("no image x", hint="try y")
        case "group":
            raise ExceptionGroup("several", [RuntimeError("x"), ExceptionGroup("inner", [NotFoundError("no image x")])])
        case "interrupt":
            raise KeyboardInterrupt
        case "system":
            raise PermissionError(13, "Permission denied", "/x")
        case "exit":
            raise typer.Exit(7)
        case _:
            raise RuntimeError("surprise")


@app.command()
def talk() -> None:
    """Say much."""
    for _ in range(100000):
        typer.echo("line")


@pytest.mark.parametrize(
    ("how", "code", "shown"),
    [
        ("known", 2, "error: no image x\nhint: try y\n"),
        ("group", 2, "error: no image x\n"),
        ("interrupt", 130, "interrupted\n"),
        ("system", 40, "error: /x: Permission denied\n"),
        ("exit", 7, ""),
        ("odd", 40, "error: unexpected RuntimeError: surprise\n"),
    ],
)
def test_each_failure_has_its_code_and_text(
    how: str, code: int, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OGCAST_DEBUG", raising=False)
    assert run(app, ["fail", how]) == code
    error = capsys.readouterr().err
    assert shown in error
    assert "Traceback" not in error


@pytest.mark.parametrize("args", [["fail"], ["fail", "a", "b"], ["nothing"], ["--wrong"]])
def test_wrong_usage_ends_with_the_format_code(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, args) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "--help" in error


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OGCAST_DEBUG", "")
    assert run(app, ["--debug", "fail", "odd"]) == 40
    assert "Traceback" in capsys.readouterr().err


def test_success_is_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["--help"]) == 0
    assert "program" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_error_message() -> None:
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('case', {__file__!r})\n"
        "case = importlib.util.module_from_spec(spec); spec.loader.exec_module(case)\n"
        "sys.exit(case.run(case.app, ['talk']))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait() != 0
    assert error == b""
