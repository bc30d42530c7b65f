from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from client.run import Options, Run, execute, in_thread
from core.errors import NotFoundError, UsageError
from tests.client.test_config import GOOD


@pytest.fixture
def options(tmp_path: Path) -> Options:
    path = tmp_path / "client.toml"
    path.write_text(GOOD)
    return Options(config=path, json=True)


def _events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_main_returns_is_the_last_event(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    async def main(run: Run) -> Mapping[str, Any]:
        run.stage("start", "x")
        run.notice("y")
        run.warning("z")
        return {"answer": 42}

    execute(options, main)
    events = _events(capsys)
    assert [event["event"] for event in events] == ["stage", "notice", "warning", "done"]
    assert events[-1]["answer"] == 42


def test_an_error_is_the_last_event_and_goes_on(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    async def main(run: Run) -> Mapping[str, Any]:
        raise NotFoundError("no image", hint="look")

    with pytest.raises(NotFoundError):
        execute(options, main)
    assert _events(capsys)[-1] == {
        "event": "error",
        "code": 2,
        "error": "NotFoundError",
        "message": "no image",
        "hint": "look",
    }


def test_a_defect_is_an_event_too(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    async def main(run: Run) -> Mapping[str, Any]:
        raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError):
        execute(options, main)
    assert _events(capsys)[-1]["code"] == 40


def test_settings_that_make_no_sense_are_an_event_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "client.toml").write_text("nonsense = 1")

    async def main(run: Run) -> Mapping[str, Any]:
        return {}

    with pytest.raises(UsageError):
        execute(Options(config=tmp_path / "client.toml", json=True), main)
    assert _events(capsys)[-1]["code"] == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_the_command_stop_and_sets_the_code(
    options: Options, capsys: pytest.CaptureFixture[str], number: int, code: int
) -> None:
    stopped: list[str] = []

    async def main(run: Run) -> Mapping[str, Any]:
        run.resume_hint = "run it again"
        os.kill(os.getpid(), number)
        try:
            await asyncio.sleep(30)
        finally:
            stopped.append("safely")
        return {}

    with pytest.raises(SystemExit) as caught:
        execute(options, main)
    assert caught.value.code == code
    assert stopped == ["safely"]
    events = _events(capsys)
    assert [event["event"] for event in events] == ["interrupted", "error"]
    assert events[-1]["message"] == "run it again"


@pytest.mark.parametrize(("same_s", "ended"), [(30.0, []), (0.0, [130])])
def test_a_second_signal_ends_at_once_unless_it_is_the_same_one(
    options: Options, monkeypatch: pytest.MonkeyPatch, same_s: float, ended: list[int]
) -> None:
    exits: list[int] = []
    monkeypatch.setattr("client.run.SAME_S", same_s)
    monkeypatch.setattr("client.run.os._exit", exits.append)

    async def main(run: Run) -> Mapping[str, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(30)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.05)  # one turn of the loop takes the signal
        return {}

    with pytest.raises(SystemExit):
        execute(options, main)
    assert exits == ended


@pytest.mark.asyncio
async def test_a_thread_is_told_of_a_cancellation_and_waited_for() -> None:
    ended: list[str] = []
    began = threading.Event()

    def work(cancelled: threading.Event) -> None:
        began.set()
        assert cancelled.wait(10)
        ended.append("let go")

    task = asyncio.ensure_future(in_thread(work))
    await asyncio.to_thread(began.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["let go"]
    assert await in_thread(lambda _: 7) == 7
