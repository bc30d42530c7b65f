"""Any range of a file that is never written is that range of the export."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ChunkError, UsageError
from images.builder import build_image
from images.exporters import export_raw, export_zst
from images.exporters.ranged import FileForm, Ranged, SlotCache, open_ranged
from images.extents import Extents, Kind
from images.manifest import Manifest, parse_manifest
from images.memstore import MemoryStore
from images.stores import Encoding
from tests.images.memory_source import MemorySource
from tests.support.images import make_image, random_extents

CHUNK = 65536
EXPORTS = {FileForm.RAW: export_raw, FileForm.ZST: export_zst}


def exported(form: FileForm, manifest: Manifest, store: MemoryStore, folder: Path) -> bytes:
    target = folder / f"export.{form}"
    EXPORTS[form](manifest, store, str(target))
    return target.read_bytes()


def read_in_steps(file: Ranged, step: int) -> bytes:
    return b"".join(file.read(at, step) for at in range(0, file.size, step))


@pytest.mark.parametrize("form", FileForm)
@given(seed=st.integers(0, 2**32), units=st.integers(0, 200), tail=st.integers(0, 4095), data=st.data())
def test_every_range_is_that_of_the_export(
    tmp_path_factory: pytest.TempPathFactory,
    form: FileForm,
    seed: int,
    units: int,
    tail: int,
    data: st.DataObject,
) -> None:
    extents = random_extents(random.Random(seed), units * 4096 + tail)
    with MemoryStore() as store:
        manifest = parse_manifest(make_image(store, extents, seed=seed, chunk_size=CHUNK).manifest)
        whole = exported(form, manifest, store, tmp_path_factory.mktemp("ranged"))
        file = open_ranged(form, manifest, store, SlotCache(CHUNK))
        assert file.size == len(whole)
        assert file.read(0, file.size) == whole
        for _ in range(5):
            at = data.draw(st.integers(0, len(whole) + 10))
            length = data.draw(st.integers(0, 3 * CHUNK))
            assert file.read(at, length) == whole[at : at + length]


@pytest.mark.parametrize("form", FileForm)
def test_chunks_of_both_encodings_are_in_it(form: FileForm, tmp_path: Path) -> None:
    content = random.Random(3).randbytes(2 * CHUNK) + b"text " * CHUNK
    with MemoryStore() as store:
        source = MemorySource(content, Extents.all_data(len(content)))
        manifest = parse_manifest(build_image(source, store, name="x", chunk_size=CHUNK))
        assert {store.locate(digest).encoding for digest in manifest.digests()} == set(Encoding)
        file = open_ranged(form, manifest, store, SlotCache())
        assert read_in_steps(file, 7777) == exported(form, manifest, store, tmp_path)


def test_skip_reads_as_zero_whatever_the_chunk_holds() -> None:
    """A capture could send a chunk with content where its manifest says SKIP: an export to a file shows none of it."""
    extents = Extents.from_lengths([4096, 4096], [Kind.DATA, Kind.SKIP])
    with MemoryStore() as store:
        made = make_image(store, Extents.all_data(8192), seed=5)
        digests = list(parse_manifest(made.manifest).digests())
        manifest = parse_manifest(_with_extents(made.manifest, extents, digests))
        file = open_ranged(FileForm.RAW, manifest, store, SlotCache())
        assert file.read(0, 8192) == made.content[:4096] + bytes(4096)


def _with_extents(data: bytes, extents: Extents, digests: list) -> bytes:
    from images.manifest import encode_manifest

    old = parse_manifest(data)
    return encode_manifest(
        name=old.name,
        version=old.version,
        created=old.created,
        tool=old.tool,
        source=old.source,
        size=old.size,
        chunk_size=old.chunk_size,
        block_size=old.block_size,
        sector_size=old.sector_size,
        fs=old.fs,
        extents=extents,
        digests=digests,
    )


@pytest.mark.parametrize("form", FileForm)
def test_a_chunk_that_is_missing_or_cut_is_a_chunk_error(form: FileForm) -> None:
    extents = Extents.all_data(3 * CHUNK)
    with MemoryStore() as store, MemoryStore() as empty:
        manifest = parse_manifest(make_image(store, extents, chunk_size=CHUNK).manifest)
        with pytest.raises(ChunkError):
            open_ranged(form, manifest, empty, SlotCache()).read(0, 1)
        file = open_ranged(form, manifest, store, SlotCache())
        place = store.locate(manifest.digest(2))
        os.ftruncate(place.fd, place.offset + place.length - 1)
        assert file.read(0, 10)
        with pytest.raises(ChunkError):
            file.read(0, file.size)


def test_a_chunk_stored_anew_in_another_length_is_told(tmp_path: Path) -> None:
    with MemoryStore() as store, MemoryStore() as again:
        manifest = parse_manifest(make_image(store, Extents.all_data(CHUNK), chunk_size=CHUNK).manifest)
        file = open_ranged(FileForm.ZST, manifest, store, SlotCache())
        content = export_of(manifest, store, tmp_path)
        again.append(manifest.digest(0), content, encoding=Encoding.RAW, raw_length=CHUNK)
        file._chunks = again  # type: ignore[attr-defined]
        with pytest.raises(ChunkError, match="anew"):
            file.read(0, 100)


def export_of(manifest: Manifest, store: MemoryStore, folder: Path) -> bytes:
    return exported(FileForm.RAW, manifest, store, folder)


def test_damage_is_never_served_as_raw_content() -> None:
    with MemoryStore() as store:
        manifest = parse_manifest(make_image(store, Extents.all_data(CHUNK), chunk_size=CHUNK).manifest)
        place = store.locate(manifest.digest(0))
        os.pwrite(place.fd, b"\xff\xfe", place.offset + place.length - 9)
        with pytest.raises(ChunkError):
            open_ranged(FileForm.RAW, manifest, store, SlotCache()).read(0, 1)


def test_a_seek_table_has_an_end() -> None:
    with MemoryStore() as store:
        huge = Extents.from_lengths([(1 << 22) * CHUNK + 1], [Kind.SKIP])
        manifest = parse_manifest(make_image_of_nothing(huge))
        assert open_ranged(FileForm.RAW, manifest, store, SlotCache()).read(1 << 37, 3) == bytes(3)
        with pytest.raises(UsageError):
            open_ranged(FileForm.ZST, manifest, store, SlotCache())


def make_image_of_nothing(extents: Extents) -> bytes:
    from images.manifest import FileSystem, encode_manifest

    return encode_manifest(
        name="x",
        version=1,
        created="2026-01-01T00:00:00Z",
        tool="test",
        source="raw",
        size=extents.size,
        chunk_size=CHUNK,
        block_size=512,
        sector_size=512,
        fs=FileSystem(),
        extents=extents,
        digests=[],
    )


def test_the_cache_keeps_to_its_bytes_and_to_one_slot_at_least() -> None:
    cache = SlotCache(10)
    made: list[int] = []

    def make(slot: int, length: int) -> bytes:
        made.append(slot)
        return bytes(length)

    for slot, length in ((1, 6), (2, 4), (1, 6), (3, 3), (2, 4), (4, 99), (4, 99), (1, 6)):
        assert len(cache.get(b"r", FileForm.RAW, slot, lambda s=slot, n=length: make(s, n))) == length
    assert made == [1, 2, 3, 2, 4, 1]
