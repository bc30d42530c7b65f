"""Running a daemon: signals stop it, readiness is told, one failing job ends all."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from core.errors import NotFoundError
from core.service import notify, run_service, supervised


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_service_end_by_itself(number: signal.Signals) -> None:
    ended = []

    async def main(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), number)
        await stop.wait()
        ended.append(number)

    run_service(main)
    assert ended == [number]


def test_a_second_signal_interrupts() -> None:
    async def main(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run_service(main)


def test_an_error_of_one_job_ends_all_and_comes_out_bare() -> None:
    async def failing() -> None:
        raise NotFoundError("gone")

    async def waiting() -> None:
        await asyncio.Event().wait()

    async def main(stop: asyncio.Event) -> None:
        await supervised(stop, failing(), waiting())

    with pytest.raises(NotFoundError):
        run_service(main)


def test_stop_ends_the_jobs() -> None:
    async def waiting() -> None:
        await asyncio.Event().wait()

    async def main(stop: asyncio.Event) -> None:
        stop.set()
        await supervised(stop, waiting())

    run_service(main)


def test_readiness_reaches_the_notify_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    assert not notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        assert notify("READY=1")
        assert listener.recv(100) == b"READY=1"
