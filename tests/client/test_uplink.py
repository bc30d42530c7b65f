from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from client.uplink import IN_FLIGHT_CHUNKS_MAX, RemoteWriter, Uplink
from core.errors import CaptureError, ConnectionFailedError, LockedError, RepositoryFullError, TransferError
from core.ids import Digest
from images.stores import Encoding
from transports.base import CaptureLane

pytestmark = pytest.mark.asyncio


class Repository:
    """The far side: what it stored, and how it fails."""

    def __init__(self, *, breaks: int = 0, full_after: int | None = None, error: type[Exception] | None = None) -> None:
        self.stored: dict[Digest, bytes] = {}
        self.breaks = breaks
        self.full_after = full_after
        self.error = error or ConnectionFailedError
        self.lanes = 0
        self.causes: list[Exception | None] = []
        self.in_flight = 0
        self.most_in_flight = 0

    @asynccontextmanager
    async def _lane(self) -> AsyncIterator[CaptureLane]:
        self.lanes += 1
        yield _Lane(self)

    async def open_lane(self, cause: Exception | None) -> AbstractAsyncContextManager[CaptureLane]:
        self.causes.append(cause)
        return self._lane()


class _Lane:
    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    async def contains(self, digests: list[Digest]) -> list[bool]:
        return [digest in self._repository.stored for digest in digests]

    async def write(self, digest: Digest, stored: bytes | memoryview, *, encoding: Encoding, raw_length: int) -> None:
        far = self._repository
        far.in_flight += 1
        far.most_in_flight = max(far.most_in_flight, far.in_flight)
        try:
            await asyncio.sleep(0)
            if far.breaks and len(far.stored) >= 5:
                far.breaks -= 1
                raise far.error("the cable was pulled")
            if far.full_after is not None and len(far.stored) >= far.full_after:
                raise RepositoryFullError("no space left")
            far.stored[digest] = bytes(stored)
        finally:
            far.in_flight -= 1


def _ignore(name: str, fields: Mapping[str, Any]) -> None:
    pass


def _uplink(open_lane: Callable[[Any], Any], limit_s: float = 20.0) -> Uplink:
    return Uplink(open_lane, on_event=_ignore, rng=random.Random(1), no_progress_limit_s=limit_s)


def _digest(number: int) -> Digest:
    return Digest(number.to_bytes(32, "big"))


def _send(writer: RemoteWriter, count: int) -> None:
    for number in range(count):
        buffer = bytearray(str(number).encode())
        writer.append(_digest(number), memoryview(buffer), encoding=Encoding.RAW, raw_length=len(buffer))
        buffer[:] = bytes(len(buffer))  # ours again after the call
    writer.finish()


async def test_everything_sent_is_stored_with_a_bounded_number_in_flight() -> None:
    far = Repository()
    async with _uplink(far.open_lane) as uplink:
        writer = RemoteWriter(uplink, asyncio.get_running_loop())
        await asyncio.to_thread(_send, writer, 200)
        assert await asyncio.to_thread(writer.contains, [_digest(7), _digest(999)]) == [True, False]
    assert far.stored == {_digest(number): str(number).encode() for number in range(200)}
    assert far.most_in_flight <= IN_FLIGHT_CHUNKS_MAX
    assert writer.chunks_sent == 200
    assert far.lanes == 1


@pytest.mark.parametrize("error", [ConnectionFailedError, TransferError])
async def test_a_broken_lane_is_replaced_and_nothing_is_lost(error: type[Exception]) -> None:
    far = Repository(breaks=3, error=error)
    async with _uplink(far.open_lane) as uplink:
        writer = RemoteWriter(uplink, asyncio.get_running_loop())
        await asyncio.to_thread(_send, writer, 100)
    assert len(far.stored) == 100
    assert far.lanes >= 2
    assert uplink.reconnects == far.lanes - 1
    assert far.causes[0] is None
    assert all(isinstance(cause, error) for cause in far.causes[1:])


async def test_a_full_repository_ends_the_capture_as_itself() -> None:
    far = Repository(full_after=10)
    async with _uplink(far.open_lane) as uplink:
        writer = RemoteWriter(uplink, asyncio.get_running_loop())
        with pytest.raises(RepositoryFullError):
            await asyncio.to_thread(_send, writer, 100)


async def test_a_repository_that_stays_away_ends_the_capture() -> None:
    async def away(_: object) -> Any:
        raise ConnectionFailedError("nobody there")

    async with _uplink(away, limit_s=0.2) as uplink:
        writer = RemoteWriter(uplink, asyncio.get_running_loop())
        with pytest.raises(CaptureError, match="nobody there") as caught:
            await asyncio.to_thread(_send, writer, 3)
    assert caught.value.exit_code == 52


async def test_a_lock_somebody_took_meanwhile_is_told() -> None:
    async def locked(_: object) -> Any:
        raise LockedError("another capture runs")

    async with _uplink(locked) as uplink:
        writer = RemoteWriter(uplink, asyncio.get_running_loop())
        with pytest.raises(LockedError):
            await asyncio.to_thread(writer.contains, [_digest(1)])


async def test_an_interrupted_writer_stops_its_thread() -> None:
    far = Repository()
    async with _uplink(far.open_lane) as uplink:
        writer = RemoteWriter(uplink, asyncio.get_running_loop())
        writer.give_up(CaptureError("interrupted"))
        with pytest.raises(CaptureError):
            await asyncio.to_thread(_send, writer, 1)


async def test_an_interrupted_writer_does_not_wait_for_a_repository_that_is_away() -> None:
    asked = asyncio.Event()

    async def away(_: object) -> Any:
        asked.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(20), _uplink(away) as uplink:
        writer = RemoteWriter(uplink, asyncio.get_running_loop())
        asking = asyncio.ensure_future(asyncio.to_thread(writer.contains, [_digest(1)]))
        await asked.wait()
        while writer._asking is None:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
        writer.give_up(CaptureError("interrupted"))
        with pytest.raises(CaptureError, match="interrupted"):
            await asking
