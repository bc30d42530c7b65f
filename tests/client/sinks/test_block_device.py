from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from client.preflight import Needs, open_target
from core.errors import PartitionError, TargetTooSmallError

MIB = 1 << 20
NEEDS = Needs(size=8 * MIB, data_bytes=8 * MIB, sector_size=512, alignment=0)


@pytest.mark.root
def test_discard_frees_the_blocks_below(loop: Callable[..., Path], tmp_path: Path) -> None:
    backing = tmp_path / "disk.img"
    backing.write_bytes(b"\xff" * 8 * MIB)
    opened = open_target(str(loop(backing)), NEEDS)
    before = backing.stat().st_blocks
    assert opened.sink.discard(0, 4 * MIB)
    opened.abandon()
    assert backing.stat().st_blocks <= before // 2 + 64


@pytest.mark.root
def test_a_disk_that_fails_midway_is_said_to(loop: Callable[..., Path], tmp_path: Path) -> None:
    point = tmp_path / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(point)], check=True)
    try:
        backing = point / "disk.img"
        with backing.open("wb") as file:
            file.truncate(8 * MIB)
        device = loop(backing)
        opened = open_target(str(device), NEEDS)

        def fill() -> None:
            opened.sink.write(0, [memoryview(b"x" * 7 * MIB)])
            opened.sink.flush()

        # the kernel tells a loop device without room behind it now as an I/O error, now as no space
        with pytest.raises((PartitionError, TargetTooSmallError), match="failed") as caught:
            fill()
        assert caught.value.exit_code in (3, 30)
        opened.abandon()
        subprocess.run(["losetup", "--detach", str(device)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)
