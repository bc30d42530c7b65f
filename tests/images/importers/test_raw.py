"""Raw files and streams."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from core.errors import ImageFileError
from images.extents import Extent, Kind
from images.importers.compression import unwrapped
from images.importers.detect import Compression
from images.importers.input import Input
from images.importers.raw import HOLE_BYTES_MIN, RawFileSource, RawStreamSource

MIB = 1 << 20


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"a" * MIB)
        file.seek(3 * MIB)
        file.write(b"b" * MIB)
        file.truncate(6 * MIB)


def test_holes_are_zero_and_never_skip(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    _sparse(path)
    if path.stat().st_blocks * 512 >= path.stat().st_size:
        pytest.skip("this file system keeps no holes")
    with RawFileSource(Input(str(path))) as source:
        assert [(one.start, one.length, one.kind) for one in source.extents] == [
            (0, MIB, Kind.DATA),
            (MIB, 2 * MIB, Kind.ZERO),
            (3 * MIB, MIB, Kind.DATA),
            (4 * MIB, 2 * MIB, Kind.ZERO),
        ]


def test_short_holes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(b"a" * 4096)
        file.seek(HOLE_BYTES_MIN)
        file.write(b"b" * 4096)
    with RawFileSource(Input(str(path))) as source:
        assert len(source.extents) == 1
        assert source.extents.size == source.size == HOLE_BYTES_MIN + 4096


def test_a_file_is_read_in_any_order_and_told_when_it_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 16)
    view = memoryview(bytearray(16))
    with RawFileSource(Input(str(path))) as source:
        assert not source.ordered
        source.read_data(Extent(256 + 16, 16, Kind.DATA), view)
        assert bytes(view) == bytes(range(16, 32))
        os.truncate(path, 100)
        with pytest.raises(ImageFileError, match="shorter"):
            source.read_data(Extent(4000, 16, Kind.DATA), view)


def test_a_stream_tells_its_end_by_giving_less() -> None:
    source_input = Input(io.BytesIO(b"abcdef"))
    with RawStreamSource(source_input, unwrapped(source_input, Compression.NONE)) as source:
        assert source.ordered
        assert source.size is None
        view = memoryview(bytearray(4))
        assert source.read_data(Extent(0, 4, Kind.DATA), view) == 4
        assert source.read_data(Extent(4, 4, Kind.DATA), view) == 2
        assert bytes(view[:2]) == b"ef"
