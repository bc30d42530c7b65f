"""The writer thread: verified chunks go to the target in rising order of what is pending, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from client.proto.write_order import WriteOrder
from core.ids import ChunkIndex
from images.stores import Encoding

__all__ = ["BATCH_CHUNKS", "Verified", "Writer", "resolve"]

BATCH_CHUNKS = 8
"""Neighbouring chunks that go out in one call; more only delays giving their slots back."""

_Result = TypeVar("_Result")


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk whose bytes were proven. The views belong to arena slots that stay held until it is written."""

    chunk: ChunkIndex
    raw: memoryview
    """The chunk's content."""
    frame: memoryview
    """Its stored bytes."""
    encoding: Encoding


class Writer:
    """One thread that calls `write(batch)`; a batch is neighbouring chunks in order. Made and closed on a loop.

    What is pending is bounded by the arena slots of those who call `put`. After an error every later `put` fails
    with it: a target that failed once is not written again.
    """

    def __init__(self, write: Callable[[Sequence[Verified]], None]) -> None:
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._order: WriteOrder[tuple[Verified, asyncio.Future[str | None]]] = WriteOrder()
        self._changed = threading.Condition()
        self._closing = False
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ogcast-writer", daemon=True)
        self._thread.start()

    def put(self, item: Verified, done: asyncio.Future[str | None]) -> None:
        """Have `item` written, from any thread. `done`, a future of the loop, holds None then, or what kept it from
        being written; who cancels it does not keep it from that."""
        with self._changed:
            error = self._failed or (RuntimeError("the writer is closed") if self._closing else None)
            if error is None:
                self._order.handle_ready(item.chunk, (item, done))
                self._changed.notify()
        if error is not None:
            self._loop.call_soon_threadsafe(resolve, done, None, error)

    async def close(self) -> None:
        """Write what is pending and end the thread; harmless when repeated."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (batch := self._order.poll_batch(BATCH_CHUNKS)):
                    if self._closing:
                        return
                    self._changed.wait()
                failed = self._failed
            if failed is None:
                try:
                    self._write([item for _, (item, _) in batch])
                except BaseException as error:
                    failed = error
                    with self._changed:
                        self._failed = error
            self._loop.call_soon_threadsafe(_resolve_all, [done for _, (_, done) in batch], failed)


def resolve(done: asyncio.Future[_Result], result: _Result, error: BaseException | None = None) -> None:
    """Give `done` its result, or `error`, unless it was cancelled or has one. On its loop."""
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


def _resolve_all(waiting: list[asyncio.Future[str | None]], error: BaseException | None) -> None:
    for done in waiting:
        resolve(done, None, error)
