"""Progress: a line now and then where nobody watches a terminal, nothing when asked for silence."""

from __future__ import annotations

import itertools

import pytest

from repod.commands.progress import progress_of


def test_lines_come_at_intervals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 3)
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    with progress_of("importing x") as advance:
        for done in range(0, 5):
            advance(done << 20, 4 << 20, "half known")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "importing x: 1.0 MiB of 4.0 MiB (25 %) half known"
    assert len(lines) == 2


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_of("x", quiet=True) as advance:
        advance(1, None, "")
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress_of("importing x") as advance:
        advance(1 << 20, 4 << 20, "[note]")
        advance(2 << 20, None, "")
    assert "importing x" in capsys.readouterr().err
