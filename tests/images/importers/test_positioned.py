"""Positioned reads fail in words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import ImageFileError, PartitionError
from images.importers.positioned import read_exactly


def test_a_shrunk_source_is_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")
    fd = os.open(path, os.O_RDONLY)
    try:
        view = memoryview(bytearray(4))
        assert read_exactly(fd, 2, view, name="file", is_device=False) == 4
        assert bytes(view) == b"cdef"
        with pytest.raises(ImageFileError, match="shorter"):
            read_exactly(fd, 4, view, name="file", is_device=False)
        with pytest.raises(PartitionError, match="went away"):
            read_exactly(fd, 4, view, name="file", is_device=True)
    finally:
        os.close(fd)


def test_a_failing_read_is_told(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)  # a folder cannot be read
    try:
        with pytest.raises(ImageFileError, match="cannot be read"):
            read_exactly(fd, 0, memoryview(bytearray(4)), name="x", is_device=False)
        with pytest.raises(PartitionError, match="at byte 0"):
            read_exactly(fd, 0, memoryview(bytearray(4)), name="x", is_device=True)
    finally:
        os.close(fd)
