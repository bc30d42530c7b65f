from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from client.sinks import kernel

MIB = 1 << 20


@pytest.mark.root
def test_a_device_tells_its_size_sector_and_whether_it_can_be_written(loop: Callable[..., Path]) -> None:
    fd = os.open(loop(3 * MIB, sector_bytes=4096, read_only=True), os.O_RDONLY)
    try:
        assert kernel.block_size_bytes(fd) == 3 * MIB
        assert kernel.sector_bytes(fd) == 4096
        assert kernel.block_is_read_only(fd)
    finally:
        os.close(fd)


def test_what_a_target_does_not_know_is_false_and_what_fails_is_raised(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    assert not kernel.zero_blocks(fd, 0, 4096)
    assert not kernel.discard_blocks(fd, 0, 4096)
    os.close(fd)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        kernel.punch_hole(fd, 0, 4096)


def test_ranges_of_a_file_become_zero_and_are_written_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xff" * MIB)
    fd = os.open(path, os.O_RDWR)
    try:
        if kernel.punch_hole(fd, 0, 4096):
            assert path.read_bytes()[:4097] == bytes(4096) + b"\xff"
        if kernel.zero_file_range(fd, 8192, 4096):
            assert path.read_bytes()[8192 : 8192 + 4096] == bytes(4096)
        if kernel.start_writeback(fd, 0, MIB):
            kernel.wait_writeback(fd, 0, MIB)
    finally:
        os.close(fd)
