from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from client.sinks.descriptor import DescriptorSink
from core.errors import PartitionError, TargetTooSmallError


def _sink(path: str, size: int = 1 << 20) -> DescriptorSink:
    fd = os.open(path, os.O_RDWR)
    return DescriptorSink(fd, name=path, size=size, sector_size=512, identity=path)


def test_a_full_disk_is_a_target_too_small() -> None:
    sink = _sink("/dev/full")
    with pytest.raises(TargetTooSmallError, match="/dev/full"):
        sink.write(0, [memoryview(b"x")])
    sink.close()


def test_reading_beyond_the_end_of_a_file_gives_zeros(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    sink = _sink(str(tmp_path / "file"))
    memory = bytearray(b"\xff" * 6)
    sink.read(1, memoryview(memory))
    assert bytes(memory) == b"bc\0\0\0\0"
    sink.close()


def test_what_cannot_be_synced_or_read_is_a_partition_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sink = _sink(str(tmp_path / "file"))

    def gone(*_: object) -> int:
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(os, "fsync", gone)
    monkeypatch.setattr(os, "preadv", gone)
    with pytest.raises(PartitionError, match="fsync"):
        sink.flush()
    with pytest.raises(PartitionError, match="reading"):
        sink.read(0, memoryview(bytearray(1)))
    sink.close()


def test_a_write_that_was_cut_short_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    sink = _sink(str(tmp_path / "file"))
    real = os.pwritev
    monkeypatch.setattr(os, "pwritev", lambda fd, buffers, offset: real(fd, [buffers[0][:3]], offset))
    sink.write(10, [memoryview(b"abcde"), memoryview(b"fgh")])
    assert (tmp_path / "file").read_bytes()[10:] == b"abcdefgh"
    sink.close()
