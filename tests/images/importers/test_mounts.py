"""Whether a device is in use for writing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from images.importers.mounts import mounted_for_writing, mounts_of, parse_mountinfo

LINES = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 22 8:2 / /with\\040blank ro,relatime - ext4 /dev/sda2 ro
31 22 0:44 / /pool rw shared:9 - btrfs /dev/none-such rw,subvol=/
broken line
"""


def test_mountinfo_is_read() -> None:
    assert parse_mountinfo(LINES) == [
        (os.makedev(8, 1), "/dev/sda1", "/", True),
        (os.makedev(8, 2), "/dev/sda2", "/with blank", False),
        (os.makedev(0, 44), "/dev/none-such", "/pool", True),
    ]
    assert [where for _, where, _ in mounts_of(LINES)] == ["/", "/with blank", "/pool"]


@pytest.mark.root
@pytest.mark.tools("mke2fs")
def test_a_mounted_device_is_in_use_unless_read_only(
    ext4_image: Path, tmp_path: Path, loop: Callable[..., Path]
) -> None:
    copy = tmp_path / "copy.img"
    copy.write_bytes(ext4_image.read_bytes())
    device = loop(copy)
    assert mounted_for_writing(str(device)) is None
    point = tmp_path / "mnt"
    point.mkdir()
    subprocess.run(["mount", str(device), str(point)], check=True)
    try:
        assert mounted_for_writing(str(device)) == f"mounted at {point}"
        subprocess.run(["mount", "-o", "remount,ro", str(point)], check=True)
        assert mounted_for_writing(str(device)) is None
    finally:
        subprocess.run(["umount", str(point)], check=True)
