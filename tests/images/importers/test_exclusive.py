"""Devices held by somebody whom our own mounts do not show."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.errors import LockedError
from images.importers import ImportOptions, open_source
from images.importers.exclusive import ExclusiveHold

MIB = 1 << 20


@contextmanager
def mounted_elsewhere(device: Path, point: Path) -> Iterator[int]:
    """`device` mounted in a mount namespace of its own only; gives the process that keeps it alive."""
    point.mkdir()
    script = f"mount {device} {point} && echo ready && read line"
    with subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"ready\n"
        yield keeper.pid
        keeper.communicate(b"\n")


@pytest.fixture
def device(ext4_image: Path, tmp_path: Path, loop: Callable[..., Path]) -> Path:
    copy = tmp_path / "copy.img"
    copy.write_bytes(ext4_image.read_bytes())
    return loop(copy)


@pytest.mark.root
@pytest.mark.tools("mke2fs", "blkid", "partclone.ext4", "unshare")
def test_a_device_mounted_in_another_namespace_is_refused_unless_forced(device: Path, tmp_path: Path) -> None:
    with mounted_elsewhere(device, tmp_path / "mnt") as pid:
        with pytest.raises(LockedError, match=rf"mounted at {tmp_path}/mnt in the mount namespace of process {pid} "):
            open_source(str(device))
        with open_source(str(device), options=ImportOptions(force=True)) as source:
            assert any("half written" in notice for notice in source.notices)
    with open_source(str(device)) as source:
        assert source.notices == ()


@pytest.mark.root
@pytest.mark.tools("mke2fs", "blkid", "partclone.ext4")
def test_nobody_mounts_a_device_while_it_is_read(device: Path, tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()
    mount = ["mount", str(device), str(tmp_path / "mnt")]
    with open_source(str(device)):
        assert subprocess.run(mount, capture_output=True, check=False).returncode != 0
    subprocess.run(mount, check=True)
    subprocess.run(["umount", str(device)], check=True)


@pytest.mark.root
def test_one_that_is_claimed_without_a_mount_is_told(loop: Callable[..., Path]) -> None:
    device = loop(MIB)
    fd = os.open(device, os.O_RDONLY | os.O_EXCL)
    hold = ExclusiveHold(str(device))
    os.close(fd)
    assert hold.user == "held by another program"
    again = ExclusiveHold(str(device))
    again.close()
    assert again.user is None


@pytest.mark.root
@pytest.mark.tools("mke2fs")
def test_a_device_mounted_read_only_here_is_left_alone(device: Path, tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()
    subprocess.run(["mount", "-o", "ro", str(device), str(tmp_path / "mnt")], check=True)
    try:
        assert ExclusiveHold(str(device)).user is None
    finally:
        subprocess.run(["umount", str(device)], check=True)
