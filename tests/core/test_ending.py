"""How work ends: message, hint and exit code. tests/core/test_cli.py has the same behind typer."""

from __future__ import annotations

import sys

import pytest

from core.ending import debugging, ended, say, told_if_interrupted
from core.errors import NotFoundError
from core.startup import Terminated


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (NotFoundError("no image x", hint="try y"), 2, "error: no image x\nhint: try y\n"),
        (BaseExceptionGroup("several", [RuntimeError("x"), NotFoundError("no image x")]), 2, "error: no image x\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (PermissionError(13, "Permission denied", "/x"), 40, "error: /x: Permission denied\n"),
        (RuntimeError("surprise"), 40, "error: unexpected RuntimeError: surprise\n"),
        (Terminated(143), 143, "interrupted\n"),
        (SystemExit(143), 143, ""),
        (SystemExit(), 0, ""),
        (SystemExit("words"), 40, "words\n"),
    ],
)
def test_each_failure_has_its_code_and_text(
    error: BaseException, code: int, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OGCAST_DEBUG", raising=False)
    assert ended(lambda: _raise(error)) == code
    said = capsys.readouterr().err
    assert said.startswith(shown)
    assert "Traceback" not in said


def test_what_work_returns_is_the_code_if_it_is_a_number() -> None:
    assert [ended(lambda: None), ended(lambda: "x"), ended(lambda: 7)] == [0, 0, 7]


def test_debugging_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OGCAST_DEBUG", "1")
    assert debugging()
    assert ended(lambda: _raise(RuntimeError("x"))) == 40
    assert "Traceback" in capsys.readouterr().err


def test_nobody_who_reads_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, text: str) -> None:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    say("x", "y")


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (Terminated(143), 143)])
def test_a_command_says_what_an_interruption_leaves(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        with told_if_interrupted("nothing is lost"):
            _raise(error)

    assert ended(work) == code
    assert capsys.readouterr().err == "nothing is lost\n"


def test_another_end_is_told_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with told_if_interrupted("nothing is lost"):
            _raise(SystemExit("words"))

    assert ended(work) == 40
    assert capsys.readouterr().err == "words\n"
