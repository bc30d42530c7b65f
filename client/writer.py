"""The writer thread: verified chunks go to the target in rising order of what is pending, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import msgspec

from client.proto.write_order import WriteOrder
from core.ids import ChunkIndex
from images.stores import Encoding

__all__ = ["BATCH_CHUNKS", "Verified", "Writer"]

BATCH_CHUNKS = 8
"""Neighbouring chunks that go out in one call; more only delays giving their slots back."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk whose bytes were proven. The views belong to arena slots that stay held until it is written."""

    chunk: ChunkIndex
    raw: memoryview
    """The chunk's content."""
    frame: memoryview
    """Its stored bytes."""
    encoding: Encoding


class Writer:
    """One thread that calls `write(batch)`; a batch is neighbouring chunks in order.

    What is pending is bounded by the arena slots of those who call `put`. After an error every later `put` fails
    with it: a target that failed once is not written again.
    """

    def __init__(self, write: Callable[[Sequence[Verified]], None]) -> None:
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._order: WriteOrder[tuple[Verified, asyncio.Future[None]]] = WriteOrder()
        self._changed = threading.Condition()
        self._closing = False
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ogcast-writer", daemon=True)
        self._thread.start()

    async def put(self, item: Verified) -> None:
        """Return when `item` is written; raises what writing it raised."""
        done: asyncio.Future[None] = self._loop.create_future()
        with self._changed:
            if self._failed is not None:
                raise self._failed
            if self._closing:
                raise RuntimeError("the writer is closed")
            self._order.handle_ready(item.chunk, (item, done))
            self._changed.notify()
        await done

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
            self._loop.call_soon_threadsafe(_settle, [done for _, (_, done) in batch], failed)


def _settle(waiting: list[asyncio.Future[None]], error: BaseException | None) -> None:
    for done in waiting:
        if done.done():
            continue  # cancelled meanwhile
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
