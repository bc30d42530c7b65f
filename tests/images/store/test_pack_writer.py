from __future__ import annotations

import os
from pathlib import Path

import pytest

from images.digest import digest_of, quick_check
from images.store import pack_writer
from images.store.pack import RecordHeader, read_record
from images.store.pack_writer import PackWriter
from images.store.paths import RepositoryPaths
from images.stores import Encoding


@pytest.fixture
def paths(tmp_path: Path) -> RepositoryPaths:
    made = RepositoryPaths(tmp_path / "repo")
    made.create()
    return made


def append(writer: PackWriter, stored: bytes) -> int:
    header = RecordHeader(
        digest=digest_of(stored),
        encoding=Encoding.RAW,
        stored_length=len(stored),
        raw_length=len(stored),
        check=quick_check(stored),
    )
    return writer.append(header, stored)


def test_only_what_is_kept_stays(paths: RepositoryPaths) -> None:
    writer = PackWriter(paths)
    offset = append(writer, b"kept")
    writer.sync()
    writer.keep()
    append(writer, b"not kept")
    writer.close()
    writer.close()
    data = paths.pack(1).read_bytes()
    assert len(data) == offset + 4
    fd = os.open(paths.pack(1), os.O_RDONLY)
    assert bytes(read_record(fd, 16)[1]) == b"kept"
    os.close(fd)


def test_a_pack_of_which_nothing_is_kept_goes(paths: RepositoryPaths) -> None:
    for spoil in (lambda writer: None, lambda writer: append(writer, b"x")):
        writer = PackWriter(paths)
        spoil(writer)
        writer.close()
        assert paths.pack_numbers() == []


def test_what_is_taken_back_is_overwritten(paths: RepositoryPaths) -> None:
    writer = PackWriter(paths)
    first = append(writer, b"first")
    writer.take_back()
    assert append(writer, b"second") == first
    writer.discard()
    writer.discard()
    assert paths.pack_numbers() == []


def test_each_writer_has_the_next_free_number(paths: RepositoryPaths) -> None:
    paths.pack(4).touch()
    writers = [PackWriter(paths) for _ in range(3)]
    assert [writer.number for writer in writers] == [5, 6, 7]
    for writer in writers:
        writer.discard()


def test_a_pack_has_a_bound(paths: RepositoryPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_writer, "PACK_BYTES_MAX", 16 + 2 * (64 + 10))
    writer = PackWriter(paths)
    append(writer, bytes(10))
    assert writer.has_room(10)
    assert not writer.has_room(11)
    writer.discard()


def test_a_record_written_in_pieces_is_whole(paths: RepositoryPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may take less than it was given; here it takes 50 bytes, so the header is cut too."""
    whole = os.pwritev

    def some(fd: int, buffers: tuple[bytes, bytes], at: int) -> int:
        return whole(fd, [b"".join(buffers)[:50]], at)

    monkeypatch.setattr(os, "pwritev", some)
    writer = PackWriter(paths)
    append(writer, b"content")
    writer.sync()
    writer.keep()
    writer.close()
    fd = os.open(paths.pack(1), os.O_RDONLY)
    assert bytes(read_record(fd, 16)[1]) == b"content"
    os.close(fd)
