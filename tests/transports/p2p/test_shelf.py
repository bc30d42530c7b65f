"""What a peer holds: the ring, and the CACHE behind it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.errors import ChunkError
from core.ids import ChunkIndex
from images.codec import encode
from images.digest import digest_of
from images.extents import Extents
from images.manifest import FileSystem, Manifest, encode_manifest, parse_manifest
from images.stores import Encoding, StoredChunk
from transports.conformance.sample import CHUNK_BYTES, SampleStore, sample_image
from transports.member.proto.maps import unpack_wants
from transports.p2p.ring import Ring
from transports.p2p.shelf import Shelf


def _tiny_ring(manifest: Manifest) -> Ring:
    """It holds one chunk."""
    return Ring(manifest, limit_bytes=0, free_bytes=lambda: 1, segment_bytes=CHUNK_BYTES)


def test_what_is_verified_is_held_and_told_and_what_is_dropped_too() -> None:
    manifest, store, _ = sample_image(chunks=10)
    store.close()
    shelf = Shelf(manifest, ring=_tiny_ring(manifest))
    news: list[int] = []
    gone: list[int] = []
    shelf.on_news, shelf.on_gone = news.extend, gone.extend
    for chunk in range(3):
        shelf.add(ChunkIndex(chunk), b"x" * CHUNK_BYTES, Encoding.RAW)
    assert (news, gone) == ([0, 1, 2], [0, 1])
    assert [chunk for chunk in range(10) if shelf.holds(chunk)] == [2]
    assert unpack_wants(shelf.packed(), 10).tolist() == [chunk == 2 for chunk in range(10)]
    shelf.close()


class _Written:
    """Every even chunk lies on the target as it came."""

    def __init__(self, chunk_bytes: int) -> None:
        self._chunk_bytes = chunk_bytes
        self.on_written: Callable[[list[ChunkIndex]], None] = lambda chunks: None

    def place(self, chunk: ChunkIndex, encoding: Encoding, length: int) -> StoredChunk | None:
        if chunk % 2:
            return None
        offset = chunk * self._chunk_bytes
        return StoredChunk(fd=9, offset=offset, length=length, encoding=encoding, raw_length=length)


def test_what_lies_on_the_target_is_held_once_it_is_written_and_not_kept_in_memory() -> None:
    manifest, store, _ = sample_image(chunks=10)
    store.close()
    shelf = Shelf(manifest)
    news: list[int] = []
    shelf.on_news = news.extend
    written = _Written(CHUNK_BYTES)
    shelf.use(written)
    for chunk in range(4):
        shelf.add(ChunkIndex(chunk), b"x" * CHUNK_BYTES, Encoding.RAW)
    assert (news, len(shelf.ring)) == ([1, 3], 2)
    digest = manifest.digest(ChunkIndex(2))
    assert shelf.contains([digest]) == [False]
    written.on_written([ChunkIndex(1), ChunkIndex(2), ChunkIndex(8)])
    assert (news, shelf.count, shelf.contains([digest])) == ([1, 3, 2], 3, [True])
    assert (shelf.locate(digest).fd, shelf.locate(digest).offset) == (9, 2 * CHUNK_BYTES)
    shelf.close()
    assert shelf.contains([digest]) == [False]


def test_the_cache_holds_what_the_ring_let_go() -> None:
    manifest, store, _ = sample_image(chunks=10)
    with store:
        shelf = Shelf(manifest, cache=store)
        shelf.look_up()
        assert shelf.count == 10
        assert shelf.locate(manifest.digest(ChunkIndex(4))).length > 0
        assert shelf.contains([manifest.digest(ChunkIndex(4))]) == [True]
        shelf.close()


def test_what_the_ring_lets_go_of_before_it_is_on_disk_is_held_again_when_it_is() -> None:
    manifest, whole, raws = sample_image(chunks=3)
    whole.close()
    with SampleStore() as cache:
        shelf = Shelf(manifest, cache=cache, ring=_tiny_ring(manifest))
        news: list[int] = []
        gone: list[int] = []
        shelf.on_news, shelf.on_gone = news.extend, gone.extend
        frames = [encode(raw, 1) for raw in raws]
        for chunk, (encoding, frame) in enumerate(frames):
            shelf.add(ChunkIndex(chunk), frame, encoding)
        assert gone
        shelf.recheck()
        assert [chunk for chunk in range(3) if shelf.holds(chunk)] == [chunk for chunk in range(3) if chunk not in gone]
        news.clear()
        for chunk, (encoding, frame) in enumerate(frames):
            cache.append(manifest.digest(ChunkIndex(chunk)), frame, encoding=encoding, raw_length=len(raws[chunk]))
        shelf.recheck()
        assert news == gone
        assert shelf.count == 3
        shelf.close()


def test_what_the_cache_has_lost_is_told_and_not_promised_again() -> None:
    manifest, store, _ = sample_image(chunks=10)
    with store:
        shelf = Shelf(manifest, cache=store)
        shelf.look_up()
        gone: list[int] = []
        shelf.on_gone = gone.extend
        store.lose(manifest.digest(ChunkIndex(4)))
        for _ in range(2):
            with pytest.raises(ChunkError):
                shelf.locate(manifest.digest(ChunkIndex(4)))
        assert gone == [4]
        assert not shelf.holds(4)
        assert (shelf.count, shelf.lost) == (9, 1)
        shelf.close()


def test_a_cache_that_cannot_be_read_costs_what_it_held_and_nothing_else() -> None:
    class Broken(SampleStore):
        def contains(self, digests: object) -> list[bool]:
            raise ChunkError("the index is damaged")

    manifest, store, _ = sample_image(chunks=10)
    store.close()
    with Broken() as cache:
        shelf = Shelf(manifest, cache=cache, ring=_tiny_ring(manifest))
        shelf.look_up()
        assert shelf.count == 0
        for chunk in range(2):
            shelf.add(ChunkIndex(chunk), b"x" * CHUNK_BYTES, Encoding.RAW)
        assert [chunk for chunk in range(10) if shelf.holds(chunk)] == [1]
        shelf.close()


def _twins() -> Manifest:
    """Chunks 0 and 2 are the same."""
    manifest, store, raws = sample_image(chunks=4)
    store.close()
    digests = [digest_of(raw) for raw in (raws[0], raws[1], raws[0], raws[3])]
    return parse_manifest(
        encode_manifest(
            name="twins",
            version=1,
            created="2024-01-01T00:00:00Z",
            tool="test",
            source="raw",
            size=manifest.size,
            chunk_size=manifest.chunk_size,
            block_size=512,
            sector_size=512,
            fs=FileSystem(type="", label="", uuid=""),
            extents=Extents.all_data(manifest.size),
            digests=digests,
        )
    )


def test_chunks_that_are_the_same_are_held_and_lost_together() -> None:
    manifest = _twins()
    shelf = Shelf(manifest, ring=_tiny_ring(manifest))
    gone: list[int] = []
    shelf.on_gone = gone.extend
    for chunk in (0, 2):
        shelf.add(ChunkIndex(chunk), b"x" * CHUNK_BYTES, Encoding.RAW)
    heir = Shelf(manifest, ring=shelf.ring)
    heir.look_up()
    assert [chunk for chunk in range(4) if heir.holds(chunk)] == [0, 2]
    shelf.ring.on_dropped = shelf._handle_dropped
    shelf.add(ChunkIndex(1), b"y" * CHUNK_BYTES, Encoding.RAW)
    assert gone == [0, 2]
    shelf.close()
