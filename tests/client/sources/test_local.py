from __future__ import annotations

import pytest
from msgspec.structs import replace

from client.sources.local import LocalSource
from core.arena import Arena
from core.errors import ChunkError, RepositoryTroubleError
from core.ids import ChunkIndex, Digest
from core.wantmap import WantMap
from images.extents import Extents
from images.manifest import parse_manifest
from images.memstore import MemoryStore
from images.stores import StoredChunk
from tests.support.images import make_image

CHUNK = 65536


def wanted(chunks: int) -> WantMap:
    """The first chunks of twelve."""
    want = WantMap(12, full=False)
    for chunk in range(chunks):
        want.add(chunk)
    return want


class Holey(MemoryStore):
    """Lacks some chunks, and gives a place without bytes for one."""

    def __init__(self) -> None:
        super().__init__()
        self.lacks: set[Digest] = set()
        self.broken: Digest | None = None

    def locate(self, digest: Digest) -> StoredChunk:
        if digest in self.lacks:
            raise ChunkError("lost")
        place = super().locate(digest)
        return replace(place, offset=1 << 40) if digest == self.broken else place


@pytest.mark.asyncio
async def test_what_is_held_is_delivered_and_the_rest_is_noted_once() -> None:
    with Holey() as store:
        extents = Extents.all_data(12 * CHUNK)  # the second half of such an image is one chunk again and again
        manifest = parse_manifest(make_image(store, extents).manifest)
        store.lacks = {manifest.digest(4), manifest.digest(5)}
        store.broken = manifest.digest(1)
        told: list[int] = []
        source = LocalSource(store, on_damaged=told.append)
        arena = Arena(slot_bytes=CHUNK, slots=2)
        for expected in ([0, 2, 3], [0, 2, 3]):
            got = []
            async with source.fetch(manifest=manifest, want=wanted(6), arena=arena) as incoming:
                async for delivery in incoming:
                    got.append(int(delivery.chunk))
                    assert delivery.source == "cache"
                    incoming.accept(delivery)
                    delivery.release()
            assert got == expected
        assert source.damaged == {1, 4, 5}
        assert told == [1, 4, 5]
        assert arena.free == 2


@pytest.mark.asyncio
async def test_a_disk_in_trouble_leaves_the_chunk_to_the_next_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def locate(digest: Digest) -> StoredChunk:
        raise RepositoryTroubleError("pack 1 cannot be opened: Too many open files")

    with MemoryStore() as store:
        manifest = parse_manifest(make_image(store, Extents.all_data(2 * CHUNK)).manifest)
        monkeypatch.setattr(store, "locate", locate)
        source = LocalSource(store)
        arena = Arena(slot_bytes=CHUNK, slots=1)
        async with source.fetch(manifest=manifest, want=WantMap(2), arena=arena) as incoming:
            assert [delivery async for delivery in incoming] == []
        assert source.damaged == {ChunkIndex(0), ChunkIndex(1)}
        assert arena.free == 1


@pytest.mark.asyncio
async def test_a_chunk_that_was_rejected_is_left_to_the_next_source() -> None:
    with MemoryStore() as store:
        manifest = parse_manifest(make_image(store, Extents.all_data(2 * CHUNK)).manifest)
        source = LocalSource(store)
        arena = Arena(slot_bytes=CHUNK, slots=1)
        async with source.fetch(manifest=manifest, want=WantMap(2), arena=arena) as incoming:
            delivery = await anext(incoming)
            incoming.reject(delivery, "wrong")
            delivery.release()
        assert source.damaged == {ChunkIndex(0)}
