from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from client import ticker as ticker_module
from client.config import load_settings
from client.figures import Figures
from client.proto.brake import BrakeMeter
from client.run import Run
from client.sources.remote import RemoteSource
from client.ticker import Ticker
from core.errors import TransferError
from tests.client.test_config import GOOD
from transports.control import SessionReport

pytestmark = pytest.mark.asyncio


class Kept:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        self.events.append((name, dict(fields)))

    def close(self) -> None:
        pass


def _brake() -> BrakeMeter:
    return BrakeMeter(now=time.monotonic(), workers=1, write_backlog=1)


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Run, Kept]:
    path = tmp_path / "client.toml"
    path.write_text(GOOD)
    reporter = Kept()
    return Run(settings=load_settings(path, repo=None, interface=None), reporter=reporter), reporter


async def test_progress_counts_what_was_there_before(kept: tuple[Run, Kept]) -> None:
    run, reporter = kept
    figures = Figures(raw_bytes_before=100)
    ticker = Ticker(run, figures, total_bytes=1000, chunks=10, remote=None)
    async with ticker.running(_brake()):
        figures.raw_bytes = 400
        figures.chunks_done = 5
        ticker.progress()
    ((name, fields),) = reporter.events
    assert name == "progress"
    assert fields["done_bytes"] == 500
    assert fields["total_bytes"] == 1000
    assert fields["brake"] == "network"
    report = ticker.report("failed", "x" * 5000)
    assert report.have == 5
    assert len(report.message) == 1024


async def test_what_an_earlier_run_wrote_is_no_rate_of_this_one(kept: tuple[Run, Kept]) -> None:
    run, reporter = kept
    figures = Figures()
    ticker = Ticker(run, figures, total_bytes=10**12, chunks=10, remote=None)
    figures.raw_bytes_before = 9 * 10**11  # found out after the ticker was made
    async with ticker.running(_brake()):
        ticker.progress()
    ((_, fields),) = reporter.events
    assert fields["done_bytes"] == 9 * 10**11
    assert fields["rate_bytes_per_s"] == 0
    assert fields["left_s"] is None
    assert ticker.report("transferring").rate == 0


async def test_it_tells_while_chunks_move_and_no_more(kept: tuple[Run, Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker_module, "PROGRESS_EVERY_S", 0.01)
    run, reporter = kept
    ticker = Ticker(run, Figures(), total_bytes=0, chunks=0, remote=None)
    async with asyncio.timeout(20), ticker.running(_brake()):
        while len(reporter.events) < 3:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
    told = len(reporter.events)
    await asyncio.sleep(0.05)
    assert len(reporter.events) == told


async def test_an_interruption_is_not_taken_for_the_end_of_the_ticking(
    kept: tuple[Run, Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticker = Ticker(kept[0], Figures(), total_bytes=0, chunks=0, remote=None)
    ending = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await asyncio.sleep(3600)

    monkeypatch.setattr(ticker, "run", endless)

    async def transfer() -> None:
        async with ticker.running(_brake()):
            await asyncio.sleep(0)

    transferring = asyncio.ensure_future(transfer())
    async with asyncio.timeout(20):
        await ending.wait()
        transferring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await transferring


async def test_a_fault_of_the_ticking_is_no_secret(kept: tuple[Run, Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    ticker = Ticker(kept[0], Figures(), total_bytes=0, chunks=0, remote=None)

    async def faulty() -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(ticker, "run", faulty)
    with pytest.raises(KeyError, match="a fault"):
        async with ticker.running(_brake()):
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (None, "done", ""),
        (TransferError("nobody has it"), "failed", "nobody has it"),
        (asyncio.CancelledError(), "failed", "interrupted"),
        (KeyError(), "failed", "KeyError"),
    ],
)
async def test_the_repository_hears_how_it_ended_whatever_ended_it(
    kept: tuple[Run, Kept], error: BaseException | None, state: str, message: str
) -> None:
    remote = Remote()
    ticker = Ticker(kept[0], Figures(), total_bytes=10, chunks=1, remote=cast(RemoteSource, remote))
    with contextlib.suppress(BaseException):
        async with ticker.ending():
            if error is not None:
                raise error
    assert remote.last is not None
    assert (remote.last.state, remote.last.message) == (state, message)


async def test_counts_of_another_thread_are_thinned_out_but_the_last_is_told(kept: tuple[Run, Kept]) -> None:
    run, reporter = kept
    count = Ticker(run, Figures(), total_bytes=0, chunks=0, remote=None).counter("checking", 1000)

    def work() -> None:
        for done in range(1001):
            count(done)

    await asyncio.to_thread(work)
    await asyncio.sleep(0)
    assert [fields["done_bytes"] for _, fields in reporter.events] == [0, 1000]
    assert reporter.events[-1][1]["rate_bytes_per_s"] > 0
    assert reporter.events[-1][1]["left_s"] == 0


class Remote:
    """What a ticker asks of a source; reports are due in an hour."""

    def __init__(self) -> None:
        self.path = "cast"
        self.picked = ""
        self.heard: list[str] = []
        self.last: SessionReport | None = None

    async def close(self, report: SessionReport | None) -> None:
        self.last = report

    async def report(self, report: SessionReport) -> float:
        self.heard.append(report.transport)
        return 3600.0


async def test_another_path_is_reported_at_once(kept: tuple[Run, Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker_module, "PROGRESS_EVERY_S", 0.01)
    remote = Remote()
    ticker = Ticker(kept[0], Figures(), total_bytes=10, chunks=1, remote=cast(RemoteSource, remote))
    running = asyncio.ensure_future(ticker.run())
    async with asyncio.timeout(20):
        while not remote.heard:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
        remote.path = "swarm"
        while len(remote.heard) < 2:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)
    running.cancel()
    assert remote.heard == ["cast", "swarm"]
