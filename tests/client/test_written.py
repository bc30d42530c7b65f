"""A file that is restored gives its chunks as they were stored, where they lie there so, and only once written."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.preflight import open_target
from client.proto.plan import RestorePlan
from client.restoring import needs_of
from client.sinks.file import FileSink
from client.written import FileFrames
from core.ids import ChunkIndex
from images.codec import verify
from images.extents import Extents, Kind
from images.manifest import parse_manifest
from images.memstore import MemoryStore
from images.stores import Encoding
from tests.support.images import MadeImage, make_image

CHUNK = 65536
SIZE = 3 * CHUNK + 8192

pytestmark = pytest.mark.asyncio


@pytest.fixture
def image() -> Iterator[MadeImage]:
    """Four chunks: DATA, DATA with free space in it, DATA, and a short one."""
    lengths, kinds = [CHUNK + 4096, 4096, SIZE - CHUNK - 8192], [Kind.DATA, Kind.SKIP, Kind.DATA]
    with MemoryStore() as store:
        yield make_image(store, Extents.from_lengths(lengths, kinds), chunk_size=CHUNK)


async def test_chunks_without_compression_and_free_space_lie_where_they_were_written(
    image: MadeImage, tmp_path: Path
) -> None:
    manifest = parse_manifest(image.manifest)
    path = tmp_path / "target.img"
    path.write_bytes(image.content)
    opened = open_target(str(path), needs_of(manifest))
    assert isinstance(opened.sink, FileSink)
    frames = FileFrames(opened.sink, RestorePlan(manifest))
    opened.sink.close()  # a restore lets go of its target before its swarm has been left
    for chunk, length, whole in ((0, CHUNK, True), (1, CHUNK, False), (2, CHUNK, True), (3, 8192, True)):
        place = frames.place(ChunkIndex(chunk), Encoding.RAW, length)
        assert (place is not None) == whole
        if place is not None:
            verify(os.pread(place.fd, place.length, place.offset), manifest.digest(ChunkIndex(chunk)))
    assert frames.place(ChunkIndex(0), Encoding.ZSTD, CHUNK) is None
    assert frames.place(ChunkIndex(0), Encoding.RAW, CHUNK - 1) is None
    frames.close()
    frames.close()


async def test_what_the_writing_thread_tells_is_told_on_the_loop(image: MadeImage, tmp_path: Path) -> None:
    manifest = parse_manifest(image.manifest)
    opened = open_target(str(tmp_path / "target.img"), needs_of(manifest))
    assert isinstance(opened.sink, FileSink)
    frames = FileFrames(opened.sink, RestorePlan(manifest))
    told: asyncio.Future[tuple[int, list[ChunkIndex]]] = asyncio.get_running_loop().create_future()
    frames.on_written = lambda chunks: told.set_result((threading.get_ident(), chunks))
    await asyncio.to_thread(frames.add, [ChunkIndex(2), ChunkIndex(0)])
    assert await asyncio.wait_for(told, 10) == (threading.get_ident(), [2, 0])
    frames.close()
    opened.sink.close()
