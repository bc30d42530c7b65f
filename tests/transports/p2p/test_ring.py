"""The ring holds the newest frames in bounded memory, and what is being sent never changes."""

from __future__ import annotations

import os

import msgspec
import pytest

from core.errors import ChunkError
from core.ids import ChunkIndex
from images.manifest import Manifest
from images.stores import Encoding
from transports.conformance.sample import CHUNK_BYTES, sample_image
from transports.p2p.ring import RING_SHARE, Ring

PLENTY = 1 << 40


@pytest.fixture
def manifest() -> Manifest:
    manifest, store, _ = sample_image(chunks=24)
    store.close()
    return manifest


def frame_of(chunk: int) -> bytes:
    return bytes([chunk]) * CHUNK_BYTES


def make(manifest: Manifest, *, limit: int = PLENTY, free: int = PLENTY, dropped: list[int] | None = None) -> Ring:
    told = dropped if dropped is not None else []
    return Ring(
        manifest,
        limit_bytes=limit,
        free_bytes=lambda: free,
        on_dropped=told.extend,
        segment_bytes=2 * CHUNK_BYTES,
    )


def read(ring: Ring, manifest: Manifest, chunk: int) -> bytes:
    place = ring.locate(manifest.digest(ChunkIndex(chunk)))
    return os.pread(place.fd, place.length, place.offset)


def test_what_was_appended_is_found(manifest: Manifest) -> None:
    ring = make(manifest)
    for chunk in range(5):
        ring.append(ChunkIndex(chunk), frame_of(chunk), Encoding.RAW)
        ring.append(ChunkIndex(chunk), frame_of(chunk), Encoding.RAW)
    assert [read(ring, manifest, chunk) for chunk in range(5)] == [frame_of(chunk) for chunk in range(5)]
    assert ring.chunks() == list(range(5))
    assert ring.stored_bytes == 5 * CHUNK_BYTES
    assert ring.contains([manifest.digest(ChunkIndex(chunk)) for chunk in (4, 5)]) == [True, False]
    ring.close()
    ring.close()


def test_the_oldest_goes_first_and_is_told(manifest: Manifest) -> None:
    dropped: list[int] = []
    ring = make(manifest, limit=6 * CHUNK_BYTES, dropped=dropped)
    for chunk in range(20):
        ring.append(ChunkIndex(chunk), frame_of(chunk), Encoding.RAW)
        assert ring.stored_bytes <= 6 * CHUNK_BYTES
    assert dropped + ring.chunks() == list(range(20))
    assert ring.dropped == len(dropped)
    with pytest.raises(ChunkError):
        ring.locate(manifest.digest(ChunkIndex(0)))
    ring.close()


def test_the_ring_takes_its_share_of_free_memory_and_no_more(manifest: Manifest) -> None:
    ring = make(manifest, free=16 * CHUNK_BYTES)
    for chunk in range(20):
        ring.append(ChunkIndex(chunk), frame_of(chunk), Encoding.RAW)
    assert ring.stored_bytes <= RING_SHARE * (16 * CHUNK_BYTES + ring.stored_bytes) + 2 * CHUNK_BYTES
    ring.close()


def test_a_frame_being_sent_outlives_its_place_in_the_ring(manifest: Manifest) -> None:
    ring = make(manifest, limit=4 * CHUNK_BYTES)
    ring.append(ChunkIndex(0), frame_of(0), Encoding.RAW)
    place = ring.locate(manifest.digest(ChunkIndex(0)))
    fd = os.dup(place.fd)
    for chunk in range(1, 20):
        ring.append(ChunkIndex(chunk), frame_of(chunk), Encoding.RAW)
    assert os.pread(fd, place.length, place.offset) == frame_of(0)
    os.close(fd)
    ring.close()


def test_a_frame_larger_than_a_segment_is_held(manifest: Manifest) -> None:
    ring = make(manifest, limit=0)
    ring.append(ChunkIndex(0), b"x" * (5 * CHUNK_BYTES), Encoding.RAW)
    assert len(read(ring, manifest, 0)) == 5 * CHUNK_BYTES
    ring.append(ChunkIndex(1), b"y", Encoding.RAW)
    assert ring.chunks() == [1]
    ring.close()


def test_what_is_handed_over_is_the_same_memory(manifest: Manifest) -> None:
    ring, heir = make(manifest), make(manifest)
    for chunk in range(5):
        ring.append(ChunkIndex(chunk), frame_of(chunk), Encoding.RAW)
    handed, descriptors = ring.hand_over()
    assert len(descriptors) == 3
    heir.take_over(handed)
    assert heir.chunks() == ring.chunks()
    assert heir.stored_bytes == ring.stored_bytes
    for chunk in range(5):
        digest = manifest.digest(ChunkIndex(chunk))
        assert heir.locate(digest) == ring.locate(digest)
    ring.close()


@pytest.mark.parametrize(
    "handed",
    [
        b"",
        b"rubbish",
        msgspec.msgpack.encode([[3, 10, [[24, 0, 10, 0]]]]),
        msgspec.msgpack.encode([[3, 10, [[0, 0, 10, 9]]]]),
        msgspec.msgpack.encode([[3, 10, [[-1, 0, 10, 0]]]]),
    ],
)
def test_nonsense_that_is_handed_over_is_refused(manifest: Manifest, handed: bytes) -> None:
    with pytest.raises(ChunkError):
        make(manifest).take_over(handed)


def test_what_can_be_spared_goes_beyond_the_easy_part_the_oldest_first(manifest: Manifest) -> None:
    dropped: list[int] = []
    ring = Ring(
        manifest,
        limit_bytes=PLENTY,
        free_bytes=lambda: PLENTY,
        on_dropped=dropped.extend,
        segment_bytes=2 * CHUNK_BYTES,
        easy_bytes=4 * CHUNK_BYTES,
    )
    ring.is_spare = lambda chunks: 2 not in chunks
    for chunk in range(4):
        ring.append(ChunkIndex(chunk), frame_of(chunk), Encoding.RAW)
    assert not dropped
    for chunk in range(4, 8):
        ring.append(ChunkIndex(chunk), frame_of(chunk), Encoding.RAW)
    assert dropped == [0, 1, 4, 5]
    assert (ring.chunks(), ring.spared, ring.dropped) == ([2, 3, 6, 7], 4, 0)
    assert [read(ring, manifest, chunk) for chunk in (2, 3, 6, 7)] == [frame_of(chunk) for chunk in (2, 3, 6, 7)]
    ring.close()


def test_what_nobody_else_has_is_kept_as_long_as_there_is_memory(manifest: Manifest) -> None:
    ring = Ring(
        manifest, limit_bytes=PLENTY, free_bytes=lambda: PLENTY, segment_bytes=2 * CHUNK_BYTES, easy_bytes=CHUNK_BYTES
    )
    for chunk in range(12):
        ring.append(ChunkIndex(chunk), frame_of(chunk), Encoding.RAW)
    assert (len(ring), ring.spared) == (12, 0)
    ring.close()
