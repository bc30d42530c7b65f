"""Uploading a capture over a unicast lane: sockets and futures around the pure machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import cast

from core.ids import Digest, SessionId
from core.timer import Timer
from images.stores import Encoding
from transports.unicast.dial import dial
from transports.unicast.proto.upload import Answer, UploadLane

__all__ = ["UnicastCapture", "upload"]


@contextlib.asynccontextmanager
async def upload(
    host: str, port: int, *, session_id: SessionId, key: bytes, stall_s: float, interface: str | None = None
) -> AsyncIterator[UnicastCapture]:
    """Connect and take the exclusive lock. See CaptureClient."""
    loop = asyncio.get_running_loop()
    machine = UploadLane(session_id=session_id, key=key, nonce=os.urandom(32), stall_s=stall_s, now=loop.time())
    lane = await dial(host, port, lambda: UnicastCapture(machine), interface=interface)
    try:
        await lane.lock()
        yield lane
    finally:
        await lane.close()


class UnicastCapture(asyncio.Protocol):
    """A `CaptureLane`."""

    def __init__(self, machine: UploadLane) -> None:
        self._machine = machine
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._closed = self._loop.create_future()
        self._locked = self._loop.create_future()
        self._futures: dict[int, asyncio.Future[Answer]] = {}
        self._timer = Timer(self._loop, self._ring)
        self._full = False

    # ------------------------------------------------------------------ CaptureLane

    async def lock(self) -> None:
        """Wait for the lock."""
        await self._locked

    async def contains(self, digests: list[Digest]) -> list[bool]:
        """See CaptureLane."""
        if not digests:
            return []
        answer = await self._ask(self._machine.ask_have(digests, self._loop.time()))
        return answer.held or []

    async def write(self, digest: Digest, stored: bytes | memoryview, *, encoding: Encoding, raw_length: int) -> None:
        """See CaptureLane."""
        now = self._loop.time()
        await self._ask(self._machine.ask_write(digest, stored, encoding=encoding, raw_length=raw_length, now=now))

    async def close(self) -> None:
        """Give the lock back by closing the lane; repeating is harmless."""
        self._timer.cancel()
        if self._transport is not None and not self._closed.done():
            if self._machine.failed is None and not self._futures:
                self._machine.ask_close()
                self._pump()
                self._transport.close()
            else:
                self._transport.abort()
            await self._closed
        if self._locked.done() and not self._locked.cancelled():
            self._locked.exception()
        else:
            self._locked.cancel()

    async def _ask(self, message: int) -> Answer:
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._futures[message] = future
        try:
            self._pump()
            answer = await future
        finally:
            self._futures.pop(message, None)
        if answer.error is not None:
            raise answer.error
        return answer

    # ------------------------------------------------------------------ asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._pump()

    def data_received(self, data: bytes) -> None:
        self._machine.handle_bytes(data, self._loop.time())
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._machine.handle_eof(str(exc or ""))
        if not self._closed.done():
            self._closed.set_result(None)
        self._pump()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._pump()

    def _pump(self) -> None:
        machine = self._machine
        while (
            not self._full
            and self._transport is not None
            and not self._transport.is_closing()
            and (data := machine.poll_bytes()) is not None
        ):
            self._transport.write(data)
        while (answer := machine.poll_answer()) is not None:
            future = self._futures.get(answer.message)
            if future is not None and not future.done():
                future.set_result(answer)
        if machine.locked and not self._locked.done():
            self._locked.set_result(None)
        if machine.failed is not None:
            self._fail(machine.failed)
        self._arm()

    def _fail(self, error: Exception) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()
        for future in [self._locked, *self._futures.values()]:
            if not future.done():
                future.set_exception(error)

    def _arm(self) -> None:
        if not self._closed.done():
            self._timer.ring_by(self._machine.deadline)

    def _ring(self) -> None:
        self._machine.handle_timer(self._loop.time())
        self._pump()
