"""Whatever is named as a source is opened for what it is."""

from __future__ import annotations

import gzip
import io
import os
import random
import threading
from pathlib import Path

import pytest

from core.errors import ImageFileError, NotFoundError, OgcastError
from images.importers import ImportOptions, SourceFormat, open_source
from images.importers.device import DeviceSource
from images.importers.raw import RawFileSource, RawStreamSource
from images.importers.source import FileSystemUse
from tests.images.partclone_images import v2_image


def test_a_raw_file_is_taken_fully(tmp_path: Path) -> None:
    path = tmp_path / "partition.txt"
    path.write_bytes(random.Random(1).randbytes(4096))  # one in 65,536 looks like ext4
    with open_source(str(path)) as source:
        assert isinstance(source, RawFileSource)
        assert source.size == 4096
    with open_source(str(path), options=ImportOptions(fs=FileSystemUse.ALWAYS)) as source:
        assert isinstance(source, DeviceSource)


def test_a_compressed_raw_file_is_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "partition"
    path.write_bytes(gzip.compress(os.urandom(4096)))
    with open_source(str(path)) as source:
        assert isinstance(source, RawStreamSource)


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(v2_image([b"a" * 512])))
    writer.start()
    with open_source(str(path)) as source:
        assert source.kind == "partclone"
        view = memoryview(bytearray(512))
        assert source.extents is not None
        source.read_data(next(iter(source.extents)), view)
        source.finish()
    writer.join()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\x7fELF" + bytes(100), "a program"),
        (b"#!/bin/sh\necho hello\n", "a text file"),
        (gzip.compress(b"", mtime=0), "empty"),
        (gzip.compress(b"hello\nworld\n", mtime=0), "a text file"),
        (gzip.compress(gzip.compress(bytes(100), mtime=0), mtime=0), "twice"),
        (gzip.compress(b"QFI\xfb" + bytes(100), mtime=0), "compressed stream"),
        (b"vhdxfile" + bytes(100), "qemu"),
        (b"QFI\xfb" + bytes(20), "truncated"),
    ],
)
def test_what_is_no_image_is_refused_in_words(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=words) as caught:
        open_source(str(path))
    assert caught.value.exit_code == 33


def test_raw_is_taken_at_its_word(tmp_path: Path) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(b"hello\n")
    raw = ImportOptions(format=SourceFormat.RAW)
    with open_source(str(path), options=raw) as source:
        assert source.size == 6
    with open_source(io.BytesIO(gzip.compress(b"x")), options=raw) as source:
        assert isinstance(source, RawStreamSource)


def test_a_virtual_disk_does_not_come_through_a_pipe() -> None:
    with pytest.raises(ImageFileError, match="pipe") as caught:
        open_source(io.BytesIO(b"QFI\xfb" + bytes(100)))
    assert "file" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["missing", "mis\0sing", "é" * 300, "../missing"])
def test_a_name_of_nothing_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises((NotFoundError, OgcastError)):
        open_source(str(tmp_path / name))
