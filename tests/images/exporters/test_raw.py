"""Raw export."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.errors import ChunkError
from images.builder import build_image
from images.exporters import export_raw
from images.extents import ExtentsBuilder, Kind
from images.manifest import Manifest, parse_manifest
from images.memstore import MemoryStore
from tests.images.memory_source import MemorySource

CHUNK = 64 * 1024
RUNS = [(CHUNK + 512, Kind.DATA), (1024, Kind.ZERO), (5 * CHUNK, Kind.SKIP), (512, Kind.DATA), (CHUNK, Kind.ZERO)]


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    with MemoryStore() as made:
        yield made


def image(store: MemoryStore) -> tuple[Manifest, bytes, bytes]:
    """An image, its content with SKIP as zeros, and with SKIP as the letter o."""
    extents, zeros, old = ExtentsBuilder(), bytearray(), bytearray()
    rng = random.Random(8)
    for length, kind in RUNS:
        extents.add(length, kind)
        data = rng.randbytes(length) if kind is Kind.DATA else bytes(length)
        zeros += data
        old += b"o" * length if kind is Kind.SKIP else data
    source = MemorySource(bytes(zeros), extents.finish())
    return parse_manifest(build_image(source, store, name="x", chunk_size=CHUNK)), bytes(zeros), bytes(old)


def test_a_file_is_the_image_with_holes(store: MemoryStore, tmp_path: Path) -> None:
    manifest, content, _ = image(store)
    target = tmp_path / "raw"
    export_raw(manifest, store, str(target))
    assert target.read_bytes() == content
    assert target.stat().st_blocks * 512 < len(content)


def test_standard_output_is_the_image(store: MemoryStore, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    manifest, content, _ = image(store)
    export_raw(manifest, store, "-")
    assert capfdbinary.readouterr().out == content


@pytest.mark.root
def test_a_device_gets_zeros_and_keeps_what_is_free(
    store: MemoryStore, loop: Callable[..., Path], tmp_path: Path
) -> None:
    manifest, _, old = image(store)
    backing = tmp_path / "backing"
    backing.write_bytes(b"o" * manifest.size)
    device = loop(backing)
    export_raw(manifest, store, str(device))
    with device.open("rb") as file:
        assert file.read(manifest.size) == old


def test_a_damaged_chunk_leaves_no_file(store: MemoryStore, tmp_path: Path) -> None:
    manifest, _, _ = image(store)
    place = store.locate(manifest.digest(manifest.chunk_count - 1))
    os.pwrite(place.fd, b"\xff\xff", place.offset + place.length - 2)
    with pytest.raises(ChunkError):
        export_raw(manifest, store, str(tmp_path / "raw"))
    assert list(tmp_path.iterdir()) == []
