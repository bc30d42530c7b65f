"""Devices through the map of their file system."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import FileSystemError, LockedError
from images.extents import Kind
from images.importers import FileSystemUse, ImportOptions, open_source
from images.importers.device import DeviceSource

ALWAYS = ImportOptions(fs=FileSystemUse.ALWAYS)
MIB = 1 << 20


@pytest.mark.root
@pytest.mark.tools("partclone.ext4", "mke2fs", "blkid")
@pytest.mark.parametrize("sector_bytes", [512, 4096])
def test_a_device_is_data_where_its_file_system_says(
    ext4_image: Path, loop: Callable[..., Path], sector_bytes: int
) -> None:
    device = loop(ext4_image, read_only=True, sector_bytes=sector_bytes)
    with open_source(str(device)) as source:
        assert isinstance(source, DeviceSource)
        assert (source.kind, source.size, source.fs.type) == ("device", 64 * MIB, "ext4")
        assert source.sector_size == sector_bytes
        assert source.block_size in (1024, 4096)
        assert 7 * MIB < source.extents.data_bytes < 40 * MIB
        assert source.extents.bytes_of(Kind.SKIP) == 64 * MIB - source.extents.data_bytes
        assert source.notices == ()
        source.finish()


@pytest.mark.tools("partclone.ntfs", "mkntfs", "ntfscp", "blkid")
def test_the_sector_after_an_ntfs_is_data(ntfs_image: Path) -> None:
    with open_source(str(ntfs_image), options=ALWAYS) as source:
        assert source.extents is not None
        assert source.size == 64 * MIB
        assert source.extents.within(64 * MIB - 512, 64 * MIB)[0].kind is Kind.DATA
        assert source.extents.data_bytes < 32 * MIB
        assert source.fs.type == "ntfs"
        source.finish()


@pytest.mark.root
@pytest.mark.tools("partclone.ext4", "mke2fs", "blkid")
def test_a_mounted_device_is_refused_unless_forced(ext4_image: Path, tmp_path: Path, loop: Callable[..., Path]) -> None:
    copy = tmp_path / "copy.img"
    copy.write_bytes(ext4_image.read_bytes())
    device = str(loop(copy))
    point = tmp_path / "mnt"
    point.mkdir()
    subprocess.run(["mount", device, str(point)], check=True)
    try:
        with pytest.raises(LockedError, match="mounted at"):
            open_source(device)
        with open_source(device, options=ImportOptions(force=True)) as source:
            assert any("half written" in notice for notice in source.notices)
    finally:
        subprocess.run(["umount", str(point)], check=True)


@pytest.mark.tools("partclone.ext4", "mke2fs", "blkid")
def test_a_file_system_that_partclone_refuses_is_an_error_with_its_words(ext4_image: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.img"
    content = bytearray(ext4_image.read_bytes())
    content[1024 + 58 : 1024 + 60] = b"\x02\x00"  # s_state: errors detected
    broken.write_bytes(content)
    with pytest.raises(FileSystemError, match=r"partclone\.ext4 refused") as caught:
        open_source(str(broken), options=ALWAYS)
    assert "--force" in (caught.value.hint or "")
    with open_source(str(broken), options=ImportOptions(fs=FileSystemUse.ALWAYS, force=True)) as source:
        assert source.fs.type == "ext4"
        assert source.notices[-1].endswith("superblock: every byte is taken")
        source.finish()


@pytest.mark.tools("partclone.ext4", "mke2fs", "blkid")
def test_a_file_system_larger_than_its_device_is_refused(ext4_image: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.img"
    short.write_bytes(ext4_image.read_bytes()[: 60 * MIB])
    with pytest.raises(FileSystemError):
        open_source(str(short), options=ALWAYS)


@pytest.mark.tools("blkid")
def test_what_nobody_knows_is_all_data_and_said_so(tmp_path: Path) -> None:
    unknown = tmp_path / "unknown.img"
    unknown.write_bytes(os.urandom(MIB))
    with open_source(str(unknown), options=ALWAYS) as source:
        assert source.extents is not None
        assert source.extents.data_bytes == MIB
        assert "every byte is taken" in source.notices[0]


@pytest.mark.tools("blkid", "mkswap")
def test_a_known_type_without_program_is_all_data_and_said_so(tmp_path: Path) -> None:
    swap = tmp_path / "swap.img"
    swap.write_bytes(bytes(MIB))
    subprocess.run(["/usr/sbin/mkswap", str(swap)], check=True, capture_output=True)
    with open_source(str(swap), options=ALWAYS) as source:
        assert source.extents is not None
        assert source.extents.data_bytes == MIB
        assert source.fs.type == "swap"
        assert "no partclone program" in source.notices[0]


@pytest.mark.root
def test_the_map_is_not_asked_for_when_told_so(loop: Callable[..., Path]) -> None:
    with open_source(str(loop(MIB)), options=ImportOptions(fs=FileSystemUse.NONE)) as source:
        assert source.extents is not None
        assert source.extents.data_bytes == MIB
