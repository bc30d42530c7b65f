"""The threads that verify: what is good goes from them straight to the writer, while it is in their cache."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

import msgspec

from client.writer import Verified, Writer, resolve
from core.errors import ChunkError
from core.ids import Digest
from images import codec
from transports.base import Delivery

__all__ = ["Verifier"]


class _Work(msgspec.Struct, frozen=True):
    """One delivery, and who waits for it."""

    delivery: Delivery
    item: Verified
    digest: Digest
    on_good: Callable[[], None]
    done: asyncio.Future[str | None]


class Verifier:
    """Up to `workers` threads for one session, on whose loop it is made and used; `close` it before the writer.

    What waits is bounded by the slots of those who call `verify`.
    """

    def __init__(self, workers: int, writer: Writer) -> None:
        self._workers = workers
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._waiting: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closing = False

    async def verify(
        self, delivery: Delivery, item: Verified, digest: Digest, *, on_good: Callable[[], None]
    ) -> str | None:
        """Decode `delivery` into `item.raw`, which may be its own frame, and compare. Why it is wrong; or None once it
        is written, and `on_good` was called on the loop before that, as soon as it was known to be good.

        Raises what decoding, `on_good` and writing raise. Who is cancelled must leave the memory alone: threads may
        still be at it, and what is good already may be written.
        """
        if self._closing:
            raise RuntimeError("the verifier is closed")
        if len(self._threads) < self._workers:
            thread = threading.Thread(target=self._run, name=f"ogcast-verify-{len(self._threads)}", daemon=True)
            thread.start()
            self._threads.append(thread)
        done: asyncio.Future[str | None] = self._loop.create_future()
        self._waiting.put(_Work(delivery, item, digest, on_good, done))
        return await done

    async def close(self) -> None:
        """End the threads, each after what it does at this moment; what waits is dropped."""
        self._closing = True
        for _ in self._threads:
            self._waiting.put(None)
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None and not self._closing:
            try:
                reason = _examine(work.delivery, work.item.raw, work.digest)
            except BaseException as error:
                self._loop.call_soon_threadsafe(resolve, work.done, None, error)
            else:
                if reason is not None:
                    self._loop.call_soon_threadsafe(resolve, work.done, reason)
                else:
                    # What the loop is told first it does first: nothing counts as written before it counts as good,
                    # though it may be on the target by then.
                    self._loop.call_soon_threadsafe(_tell, work)
                    self._writer.put(work.item, work.done)
            del work  # its memory is the session's again


def _examine(delivery: Delivery, content: memoryview, digest: Digest) -> str | None:
    """The one place where a chunk is verified: decode into `content`, which may be the frame itself, and compare.
    The reason if it is wrong."""
    if delivery.prepare is not None:
        delivery.prepare()
    try:
        if content is not delivery.frame:
            codec.decode_into(delivery.frame, delivery.encoding, content)
        codec.verify(content, digest)
    except ChunkError as error:
        return str(error)
    return None


def _tell(work: _Work) -> None:
    if work.done.done():
        return  # cancelled meanwhile
    try:
        work.on_good()
    except BaseException as error:
        resolve(work.done, None, error)
