"""Bytes of a source before anything is known about them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from core.errors import ImageFileError, NotFoundError, PartitionError
from images.importers.input import Input, os_error


def test_peeking_takes_nothing() -> None:
    source = Input(io.BytesIO(b"abcdef"))
    assert source.peek(3) == b"abc"
    assert source.peek(10) == b"abcdef"
    assert source.read(2) == b"ab"
    buffer = bytearray(10)
    assert source.readinto(memoryview(buffer)) == 4
    assert source.read(1) == b""


def test_a_pipe_is_read_to_exact_lengths() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"abc")
    os.write(writing, b"defgh")
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as file:
        source = Input(file)
        assert source.read(5) == b"abcde"
        assert source.read_some(100) == b"fgh"


def test_a_regular_file_can_be_rewound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    source = Input(str(path))
    assert source.is_regular
    assert not source.is_block_device
    assert source.peek(2) == b"ab"
    assert os.read(source.rewound(), 3) == b"abc"
    source.close()
    source.close()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Input(str(tmp_path / "missing"))
    with pytest.raises(NotFoundError):
        Input("with\0nul")
    with pytest.raises(PartitionError, match="no such device"):
        Input("/dev/nosuch0")
    with pytest.raises(ImageFileError):
        Input(str(tmp_path))
    with pytest.raises(ImageFileError):
        Input("/dev/null")


def test_errors_of_the_system_are_told_in_words() -> None:
    assert "permission" in str(os_error("x", PermissionError(13, "Permission denied")))
    assert "Input/output error" in str(os_error("x", OSError(5, "Input/output error")))
