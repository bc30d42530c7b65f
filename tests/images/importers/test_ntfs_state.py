"""The dirty flag of an NTFS."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest

from core.errors import FileSystemError
from images.importers import FileSystemUse, ImportOptions, open_source
from images.importers.ntfs_state import is_ntfs_dirty


def make_dirty(path: Path) -> None:
    """Set the flag the way Windows does; mkntfs makes clusters of 4 KiB and records of 1 KiB."""
    content = bytearray(path.read_bytes())
    for boot_field in (48, 56):  # the MFT and its mirror
        record = struct.unpack_from("<Q", content, boot_field)[0] * 4096 + 3 * 1024
        at = record + struct.unpack_from("<H", content, record + 20)[0]
        while struct.unpack_from("<I", content, at)[0] != 0x70:
            at += struct.unpack_from("<I", content, at + 4)[0]
        flags = at + struct.unpack_from("<H", content, at + 20)[0] + 10
        if flags % 512 == 510:  # a serial number stands here, the flags in the record's array
            flags = record + struct.unpack_from("<H", content, record + 4)[0] + 2 * ((flags - record) // 512 + 1)
        content[flags] |= 1
    path.write_bytes(content)


def flag_of(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        return is_ntfs_dirty(fd)
    finally:
        os.close(fd)


@pytest.mark.tools("mkntfs", "ntfscp", "partclone.ntfs", "blkid")
def test_a_dirty_ntfs_is_refused_unless_forced(ntfs_image: Path, tmp_path: Path) -> None:
    assert not flag_of(ntfs_image)
    dirty = tmp_path / "dirty.img"
    dirty.write_bytes(ntfs_image.read_bytes())
    make_dirty(dirty)
    assert flag_of(dirty)
    with pytest.raises(FileSystemError, match="dirty flag") as caught:
        open_source(str(dirty), options=ImportOptions(fs=FileSystemUse.ALWAYS))
    assert caught.value.exit_code == 20
    with open_source(str(dirty), options=ImportOptions(fs=FileSystemUse.ALWAYS, force=True)) as source:
        assert "check its disk" in source.notices[0]
        assert source.notices[1:] == ()
        assert source.extents is not None
        assert source.extents.data_bytes < 32 << 20
        source.finish()


def test_whatever_is_no_ntfs_is_not_dirty(tmp_path: Path) -> None:
    path = tmp_path / "other"
    rng = random.Random(6)
    for content in (b"", bytes(4096), *(rng.randbytes(4096) for _ in range(200))):
        path.write_bytes(content)
        assert not flag_of(path)
