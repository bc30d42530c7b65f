from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest
import zstandard

from client.verifier import Verifier
from client.writer import Verified, Writer, resolve
from core.errors import ChunkError, PartitionError
from core.ids import ChunkIndex
from images.digest import digest_of
from images.stores import Encoding
from transports.base import Delivery

pytestmark = pytest.mark.asyncio

CONTENT = b"what a chunk holds" * 100
GOOD = digest_of(CONTENT)


def _delivery(
    frame: bytes | bytearray = CONTENT,
    *,
    chunk: int = 0,
    encoding: Encoding = Encoding.RAW,
    prepare: Callable[[], None] | None = None,
) -> Delivery:
    return Delivery(
        chunk=ChunkIndex(chunk),
        encoding=encoding,
        frame=memoryview(frame),
        source="test",
        release=lambda: None,
        prepare=prepare,
    )


def _item(delivery: Delivery, raw: memoryview | None = None) -> Verified:
    return Verified(chunk=delivery.chunk, raw=raw or delivery.frame, frame=delivery.frame, encoding=delivery.encoding)


class Scene:
    """A verifier, its writer, and what happened."""

    def __init__(self, *, workers: int = 2, error: Exception | None = None) -> None:
        self.happened: list[tuple[str, int]] = []
        self._error = error
        self.writer = Writer(self._write)
        self.verifier = Verifier(workers, self.writer)

    def _write(self, batch: Sequence[Verified]) -> None:
        if self._error is not None:
            raise self._error
        self.happened += [("written", item.chunk) for item in batch]

    async def verify(self, delivery: Delivery, raw: memoryview | None = None) -> str | None:
        def on_good() -> None:
            self.happened.append(("good", delivery.chunk))

        return await self.verifier.verify(delivery, _item(delivery, raw), GOOD, on_good=on_good)

    async def close(self) -> None:
        await self.verifier.close()
        await self.writer.close()


async def test_what_is_good_is_told_once_and_written() -> None:
    scene = Scene()
    assert await asyncio.gather(*(scene.verify(_delivery(chunk=chunk)) for chunk in range(20))) == [None] * 20
    await scene.close()
    assert sorted(scene.happened) == sorted([*(("good", n) for n in range(20)), *(("written", n) for n in range(20))])


async def test_what_is_good_is_told_before_it_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def put(self: Writer, item: Verified, done: asyncio.Future[str | None]) -> None:
        done.get_loop().call_soon_threadsafe(resolve, done, None)  # written in no time

    monkeypatch.setattr(Writer, "put", put)
    scene = Scene()
    assert await scene.verify(_delivery()) is None
    assert scene.happened == [("good", 0)]
    await scene.close()


async def test_what_is_compressed_is_decoded_into_the_memory_it_is_given() -> None:
    scene, memory = Scene(), bytearray(len(CONTENT))
    frame = zstandard.ZstdCompressor().compress(CONTENT)
    assert await scene.verify(_delivery(frame, encoding=Encoding.ZSTD), memoryview(memory)) is None
    await scene.close()
    assert memory == CONTENT


async def test_what_is_wrong_is_neither_told_nor_written() -> None:
    scene = Scene()
    assert "digest" in (await scene.verify(_delivery(CONTENT[:-1] + b"!")) or "")
    await scene.close()
    assert scene.happened == []


async def test_it_is_prepared_on_a_thread_first() -> None:
    memory = bytearray(len(CONTENT))
    threads: list[threading.Thread] = []

    def mend() -> None:
        threads.append(threading.current_thread())
        memory[:] = CONTENT

    scene = Scene()
    assert await scene.verify(_delivery(memory, prepare=mend)) is None
    await scene.close()
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_faults_are_raised_where_it_is_awaited() -> None:
    def fail() -> None:
        raise ValueError("planted")

    scene = Scene(error=PartitionError("gone"))
    with pytest.raises(ValueError, match="planted"):
        await scene.verify(_delivery(prepare=fail))
    with pytest.raises(PartitionError, match="gone"):
        await scene.verify(_delivery(chunk=2))
    assert scene.happened == [("good", 2)]  # and not written
    await scene.close()


@pytest.mark.parametrize("fault", [KeyboardInterrupt("planted"), ChunkError("planted")])
async def test_what_preparing_raises_is_no_reason_but_a_fault(fault: BaseException) -> None:
    def fail() -> None:
        raise fault

    scene = Scene()
    with pytest.raises(type(fault), match="planted"):
        await scene.verify(_delivery(prepare=fail))
    assert await scene.verify(_delivery(chunk=1)) is None
    await scene.close()


async def test_a_thread_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as few:
        few.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await scene.verify(_delivery())
    assert await scene.verify(_delivery(chunk=1)) is None
    await scene.close()


async def test_a_fault_of_who_is_told_is_raised_too() -> None:
    def fail() -> None:
        raise ValueError("planted")

    scene, delivery = Scene(), _delivery()
    with pytest.raises(ValueError, match="planted"):
        await scene.verifier.verify(delivery, _item(delivery), GOOD, on_good=fail)
    await scene.close()


async def test_who_is_cancelled_hears_nothing_more() -> None:
    gate, begun = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        gate.wait()

    scene = Scene(workers=1)
    task = asyncio.ensure_future(scene.verify(_delivery(prepare=hold)))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert await scene.verify(_delivery(chunk=1)) is None
    await scene.close()
    assert ("good", 0) not in scene.happened
    assert ("good", 1) in scene.happened


async def test_no_more_threads_than_were_asked_for() -> None:
    threads: set[threading.Thread] = set()
    both = threading.Barrier(2)  # one alone would wait in vain

    def note() -> None:
        threads.add(threading.current_thread())
        both.wait(10)

    scene = Scene(workers=2)
    await asyncio.gather(*(scene.verify(_delivery(chunk=chunk, prepare=note)) for chunk in range(8)))
    await scene.close()
    assert len(threads) == 2
    assert not any(thread.is_alive() for thread in threads)


async def test_what_waits_when_it_is_closed_is_dropped_and_what_is_in_hand_is_written() -> None:
    gate, begun = threading.Event(), threading.Event()
    prepared: list[int] = []

    def hold() -> None:
        begun.set()
        gate.wait()

    scene = Scene(workers=1)
    held = asyncio.ensure_future(scene.verify(_delivery(prepare=hold)))
    waits = asyncio.ensure_future(scene.verify(_delivery(chunk=1, prepare=lambda: prepared.append(1))))
    await asyncio.to_thread(begun.wait)
    closing = asyncio.ensure_future(scene.verifier.close())
    await asyncio.sleep(0)
    gate.set()
    await closing
    await scene.writer.close()
    assert await held is None
    assert scene.happened == [("good", 0), ("written", 0)] or scene.happened == [("written", 0), ("good", 0)]
    assert not waits.done()
    assert prepared == []
    waits.cancel()
    with pytest.raises(RuntimeError, match="closed"):
        await scene.verify(_delivery(chunk=2))


async def test_one_that_was_never_used_closes() -> None:
    scene = Scene()
    await scene.close()
    await scene.close()
    assert scene.happened == []
