"""Seekable zst export: the zstd program restores it, and the seek table finds every slot."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from images.builder import build_image
from images.exporters import export_zst
from images.exporters.seekable_zst import SEEKABLE_MAGIC
from images.extents import Extents
from images.importers import open_source
from images.manifest import parse_manifest
from images.memstore import MemoryStore
from images.stores import Encoding
from tests.images.exporters.test_raw import image
from tests.images.memory_source import MemorySource


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    with MemoryStore() as made:
        yield made


@pytest.mark.tools("zstd")
def test_the_zstd_program_restores_it(store: MemoryStore, tmp_path: Path) -> None:
    manifest, content, _ = image(store)
    assert {store.locate(digest).encoding for digest in manifest.digests()} == {Encoding.RAW, Encoding.ZSTD}
    target = tmp_path / "image.zst"
    export_zst(manifest, store, str(target))
    assert subprocess.run(["zstd", "-dc", target], capture_output=True, check=True).stdout == content


def test_the_seek_table_names_every_slot(store: MemoryStore, tmp_path: Path) -> None:
    manifest, content, _ = image(store)
    target = tmp_path / "image.zst"
    export_zst(manifest, store, str(target))
    data = target.read_bytes()
    count, flags, magic = struct.unpack("<IBI", data[-9:])
    assert (flags, magic) == (0, SEEKABLE_MAGIC)
    table_at = len(data) - 9 - 8 * count
    assert struct.unpack_from("<II", data, table_at - 8) == (0x184D2A5E, 8 * count + 9)
    at = start = 0
    for stored, length in struct.iter_unpack("<II", data[table_at : table_at + 8 * count]):
        assert zstandard.decompress(data[at : at + stored]) == content[start : start + length]
        at, start = at + stored, start + length
    assert (at, start) == (table_at - 8, len(content))


@pytest.mark.tools("zstd")
def test_an_empty_image_is_an_empty_stream(store: MemoryStore, tmp_path: Path) -> None:
    manifest = parse_manifest(build_image(MemorySource(b"", Extents.all_data(0)), store, name="x"))
    target = tmp_path / "image.zst"
    export_zst(manifest, store, str(target))
    assert subprocess.run(["zstd", "-dc", target], capture_output=True, check=True).stdout == b""


def test_an_export_can_be_imported(store: MemoryStore, tmp_path: Path) -> None:
    manifest, _, _ = image(store)
    target = tmp_path / "image.zst"
    export_zst(manifest, store, str(target))
    with open_source(str(target)) as source:
        again = parse_manifest(build_image(source, store, name="x", chunk_size=manifest.chunk_size))
    assert again.size == manifest.size
    assert again.digests() == manifest.digests()
