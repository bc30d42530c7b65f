"""What exporters are fed with is verified, in order and bounded."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from core.errors import ChunkError
from images.builder import build_image
from images.exporters.feed import ExportProgress, slots_of
from images.extents import ExtentsBuilder, Kind
from images.manifest import Manifest, parse_manifest
from images.memstore import MemoryStore
from tests.images.memory_source import MemorySource

CHUNK = 64 * 1024


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    with MemoryStore() as made:
        yield made


def image(store: MemoryStore) -> tuple[Manifest, bytes]:
    extents = ExtentsBuilder()
    for length, kind in [(3 * CHUNK, Kind.DATA), (4 * CHUNK, Kind.SKIP), (CHUNK, Kind.DATA), (99, Kind.ZERO)]:
        extents.add(length, kind)
    content = random.Random(1).randbytes(3 * CHUNK) + bytes(4 * CHUNK) + b"a" * CHUNK + bytes(99)
    source = MemorySource(content, extents.finish())
    return parse_manifest(build_image(source, store, name="x", chunk_size=CHUNK)), content


def test_every_slot_comes_once_in_order(store: MemoryStore) -> None:
    manifest, content = image(store)
    shown: list[ExportProgress] = []
    found = bytearray()
    with slots_of(manifest, store, workers=3, progress=shown.append) as slots:
        for slot in slots:
            assert slot.start == len(found)
            found += slot.content if slot.content is not None else bytes(slot.length)
    assert found == content
    assert shown[-1].bytes_done == shown[-1].bytes_total == len(content)


def test_a_missing_chunk_is_told(store: MemoryStore) -> None:
    manifest, _ = image(store)
    with MemoryStore() as empty, pytest.raises(ChunkError, match="does not hold"), slots_of(manifest, empty) as slots:
        list(slots)


def test_a_damaged_chunk_is_named(store: MemoryStore) -> None:
    manifest, _ = image(store)
    place = store.locate(manifest.digest(1))
    os.pwrite(place.fd, b"\xff\xff\xff", place.offset + place.length // 2)
    with pytest.raises(ChunkError, match=manifest.digest(1).hex()[:16]), slots_of(manifest, store) as slots:
        list(slots)
