from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from client.writer import BATCH_CHUNKS, Verified, Writer
from core.errors import PartitionError
from core.ids import ChunkIndex
from images.stores import Encoding

pytestmark = pytest.mark.asyncio


def _item(chunk: int) -> Verified:
    return Verified(chunk=ChunkIndex(chunk), raw=memoryview(b"x"), frame=memoryview(b"x"), encoding=Encoding.RAW)


async def put(writer: Writer, chunk: int) -> None:
    done: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    writer.put(_item(chunk), done)
    assert await done is None


async def test_what_is_pending_goes_out_in_order_and_in_bounded_batches() -> None:
    started, gate = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def write(batch: Sequence[Verified]) -> None:
        started.set()
        gate.wait()
        batches.append([item.chunk for item in batch])

    writer = Writer(write)
    first = asyncio.ensure_future(put(writer, 50))
    await asyncio.to_thread(started.wait)
    rest = [asyncio.ensure_future(put(writer, chunk)) for chunk in [*range(20, 0, -1), 60]]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *rest)
    await writer.close()
    await writer.close()
    assert batches[:2] == [[50], [60]]
    assert [chunk for batch in batches[2:] for chunk in batch] == list(range(1, 21))
    assert max(map(len, batches)) <= BATCH_CHUNKS


async def test_after_an_error_nothing_more_is_written() -> None:
    written: list[int] = []

    def write(batch: Sequence[Verified]) -> None:
        written.extend(item.chunk for item in batch)
        raise PartitionError("gone")

    writer = Writer(write)
    for chunk in range(3):
        with pytest.raises(PartitionError, match="gone"):
            await put(writer, chunk)
    await writer.close()
    assert written == [0]


async def test_a_closed_writer_takes_nothing() -> None:
    writer = Writer(lambda batch: None)
    await writer.close()
    with pytest.raises(RuntimeError):
        await put(writer, 1)


async def test_who_cancels_does_not_keep_it_from_being_written() -> None:
    gate = threading.Event()
    written: list[int] = []

    def write(batch: Sequence[Verified]) -> None:
        gate.wait()
        written.extend(item.chunk for item in batch)

    writer = Writer(write)
    waiting = [asyncio.ensure_future(put(writer, chunk)) for chunk in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    gate.set()
    await asyncio.gather(waiting[0], waiting[2])
    await writer.close()
    assert sorted(written) == [0, 1, 2]
    assert waiting[1].cancelled()
