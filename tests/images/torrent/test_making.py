"""The pass over an image: hashes are those of the exported file, and damage is not published."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from core.errors import ChunkError, UsageError
from images.exporters import ExportProgress, export_raw, export_zst
from images.exporters.ranged import FileForm
from images.extents import Extents
from images.manifest import parse_manifest
from images.memstore import MemoryStore
from images.torrent.making import hash_image
from images.torrent.pieces import PIECE_LENGTH_MIN
from tests.images.torrent.test_pieces import plain_hashes
from tests.support.images import make_image, random_extents

CHUNK = 65536
EXPORTS = {FileForm.RAW: export_raw, FileForm.ZST: export_zst}


@pytest.mark.parametrize("form", FileForm)
def test_hashes_are_those_of_the_exported_file(form: FileForm, tmp_path: Path) -> None:
    extents = random_extents(random.Random(7), 1_500_000)
    seen: list[ExportProgress] = []
    with MemoryStore() as store:
        manifest = parse_manifest(make_image(store, extents, chunk_size=CHUNK).manifest)
        EXPORTS[form](manifest, store, str(tmp_path / "out"))
        hashes = hash_image(manifest, store, form, progress=seen.append)
    assert hashes == plain_hashes((tmp_path / "out").read_bytes(), PIECE_LENGTH_MIN)
    assert seen[-1].bytes_done == manifest.size


@pytest.mark.parametrize("form", FileForm)
def test_damage_is_not_published(form: FileForm) -> None:
    with MemoryStore() as store:
        manifest = parse_manifest(make_image(store, Extents.all_data(3 * CHUNK), chunk_size=CHUNK).manifest)
        place = store.locate(manifest.digest(1))
        os.pwrite(place.fd, b"\xff\xfe", place.offset + place.length - 9)
        with pytest.raises(ChunkError):
            hash_image(manifest, store, form)


def test_an_image_without_a_byte_has_no_raw_torrent() -> None:
    with MemoryStore() as store:
        manifest = parse_manifest(make_image(store, Extents.all_data(0), chunk_size=CHUNK).manifest)
        with pytest.raises(UsageError):
            hash_image(manifest, store, FileForm.RAW)
        assert hash_image(manifest, store, FileForm.ZST).pieces == 1
