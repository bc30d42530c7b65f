"""Uplink of a capture: a lane to the repository that is opened again when it breaks, and its blocking face.

The image builder is synchronous and works in a thread; the lane lives on the event loop. `RemoteWriter` is the bridge:
it looks like a store, keeps a bounded number of bytes in flight, and repeats nothing itself. `Uplink` repeats: each
call is tried on every new lane until it succeeds or the time without progress is over.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from client.proto.retry import FAILURES_LEAST, RetryPolicy
from core.errors import (
    AuthenticationError,
    CaptureError,
    ConnectionFailedError,
    OgcastError,
    ProtocolError,
    TransferError,
)
from core.ids import Digest
from images.stores import Encoding
from transports.base import CaptureLane

__all__ = ["IN_FLIGHT_BYTES_MAX", "NO_PROGRESS_LIMIT_S", "RemoteWriter", "Uplink"]

IN_FLIGHT_BYTES_MAX = 32 << 20
"""Stored bytes sent and not yet acknowledged: fills a fast lane, and is what a capture holds beside its builder."""
IN_FLIGHT_CHUNKS_MAX = 16
NO_PROGRESS_LIMIT_S = 120.0
RETRY_FIRST_S = 0.2
RETRY_LONGEST_S = 10.0

T = TypeVar("T")

_LANE_ENDED = (ConnectionFailedError, AuthenticationError, TransferError, ProtocolError)
"""What ends a lane and not the capture: another lane, of a capture opened anew, may go on."""


class Uplink:
    """Keeps a lane open. `open_lane(cause)` makes a new one; `cause` is what ended the one before, None at first.

    An async context manager; its lanes are entered and left by one task of its own.
    """

    def __init__(
        self,
        open_lane: Callable[[OgcastError | None], Awaitable[AbstractAsyncContextManager[CaptureLane]]],
        *,
        on_event: Callable[[str, Mapping[str, Any]], None],
        rng: random.Random | None = None,
        no_progress_limit_s: float = NO_PROGRESS_LIMIT_S,
    ) -> None:
        self._open_lane = open_lane
        self._on_event = on_event
        self._retry = RetryPolicy(
            now=time.monotonic(),
            limit_s=no_progress_limit_s,
            first_s=RETRY_FIRST_S,
            longest_s=RETRY_LONGEST_S,
            rng=rng or random.Random(),
            least=FAILURES_LEAST,
        )
        self._lane: asyncio.Future[CaptureLane] | None = None
        self._broken = asyncio.Event()
        self._cause: OgcastError | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.reconnects = 0

    async def __aenter__(self) -> Uplink:
        self._lane = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.ensure_future(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._keeper is not None
        self._keeper.cancel()
        await asyncio.wait([self._keeper])
        if self._lane is not None and self._lane.done() and not self._lane.cancelled():
            self._lane.exception()

    async def contains(self, digests: list[Digest]) -> list[bool]:
        """Which of `digests` the repository holds."""
        return await self._call(lambda lane: lane.contains(digests))

    async def write(self, digest: Digest, stored: bytes, *, encoding: Encoding, raw_length: int) -> None:
        """Return when the repository has stored the chunk."""
        await self._call(lambda lane: lane.write(digest, stored, encoding=encoding, raw_length=raw_length))

    async def _call(self, action: Callable[[CaptureLane], Awaitable[T]]) -> T:
        while True:
            assert self._lane is not None
            waiting = self._lane
            lane = await asyncio.shield(waiting)
            try:
                result = await action(lane)
            except _LANE_ENDED as error:
                self._note_broken(waiting, error)
                continue
            self._retry.handle_progress(time.monotonic())
            return result

    def _note_broken(self, waiting: asyncio.Future[CaptureLane], error: OgcastError) -> None:
        """Many calls fail with one lane; the first to say so has it replaced."""
        if self._lane is waiting:
            self._lane = asyncio.get_running_loop().create_future()
            self._cause = error
            self.reconnects += 1
            self._broken.set()

    async def _keep(self) -> None:
        """Enter a lane, publish it, wait until it broke; again after a pause, for as long as there is progress."""
        while True:
            assert self._lane is not None
            try:
                async with await self._open_lane(self._cause) as lane:
                    self._broken.clear()
                    self._lane.set_result(lane)
                    await self._broken.wait()
            except _LANE_ENDED as error:
                self._cause = error
            except Exception as error:
                if not self._lane.done():
                    self._lane.set_exception(error)
                return
            delay = self._retry.poll_delay(time.monotonic())
            if delay is None:
                failure = CaptureError(
                    f"the capture cannot go on: {self._cause}",
                    hint="what arrived is kept until gc; run the same command again to go on from there",
                )
                self._lane.set_exception(failure)
                return
            message = str(self._cause)
            self._on_event("retry", {"source": "repository", "message": message, "delay_s": round(delay, 2)})
            await asyncio.sleep(delay)


class RemoteWriter:
    """A ChunkWriter over an Uplink, for one worker thread. Call `finish` before the manifest is sent."""

    def __init__(self, uplink: Uplink, loop: asyncio.AbstractEventLoop) -> None:
        self._uplink = uplink
        self._loop = loop
        self._changed = threading.Condition()
        self._in_flight: dict[Digest, int] = {}
        self._failed: BaseException | None = None
        self._asking: Future[list[bool]] | None = None
        self.bytes_sent = 0
        """Stored bytes acknowledged."""
        self.chunks_sent = 0

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """What the repository holds, and what is on its way there."""
        with self._changed:
            self._raise_failure()
            asking = asyncio.run_coroutine_threadsafe(self._uplink.contains(list(digests)), self._loop)
            self._asking = asking
        try:
            answer = asking.result()
        except CancelledError:
            self._raise_failure()
            raise
        with self._changed:
            return [held or digest in self._in_flight for digest, held in zip(digests, answer, strict=True)]

    def append(self, digest: Digest, stored: bytes | memoryview, *, encoding: Encoding, raw_length: int) -> None:
        """Send one chunk; waits while too much is in flight. Raises what an earlier one failed with."""
        data = bytes(stored)
        with self._changed:
            while self._failed is None and self._is_full(len(data)):
                self._changed.wait()
            self._raise_failure()
            if digest in self._in_flight:
                return
            self._in_flight[digest] = len(data)
        sending = asyncio.run_coroutine_threadsafe(
            self._uplink.write(digest, data, encoding=encoding, raw_length=raw_length), self._loop
        )
        sending.add_done_callback(lambda done: self._note_done(digest, done))

    def finish(self) -> None:
        """Return when everything was acknowledged."""
        with self._changed:
            while self._in_flight and self._failed is None:
                self._changed.wait()
            self._raise_failure()

    def give_up(self, error: BaseException) -> None:
        """Have the worker thread stop with `error`, in the call it waits in or at its next one."""
        with self._changed:
            self._failed = self._failed or error
            self._changed.notify_all()
            if self._asking is not None:
                self._asking.cancel()

    def _is_full(self, length: int) -> bool:
        flying = self._in_flight
        return bool(flying) and (
            len(flying) >= IN_FLIGHT_CHUNKS_MAX or sum(flying.values()) + length > IN_FLIGHT_BYTES_MAX
        )

    def _note_done(self, digest: Digest, done: Future[None]) -> None:
        error = CaptureError("the capture was interrupted") if done.cancelled() else done.exception()
        with self._changed:
            length = self._in_flight.pop(digest)
            if error is None:
                self.bytes_sent += length
                self.chunks_sent += 1
            else:
                self._failed = self._failed or error
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        if self._failed is not None:
            raise self._failed
