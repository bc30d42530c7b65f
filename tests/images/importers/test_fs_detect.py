"""Which file system, which program."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.importers.fs_detect import (
    PARTCLONE_FS_NAMES,
    detect_file_system,
    fs_type_of,
    parse_blkid,
    partclone_program,
)


@pytest.mark.tools("blkid", "mke2fs")
def test_a_real_file_system_is_recognised(ext4_image: Path) -> None:
    found = detect_file_system(str(ext4_image))
    assert (found.type, found.label) == ("ext4", "ogcast")
    assert len(found.uuid) == 36


@pytest.mark.tools("blkid")
def test_nothing_is_recognised_in_zeros(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    path.write_bytes(bytes(1 << 20))
    assert detect_file_system(str(path)).type == ""


def test_labels_are_unescaped() -> None:
    found = parse_blkid(b"TYPE=ntfs\nLABEL=my\\ disk\\\\\\=\nUUID=1-2\nno equals sign\n\xff=\xff\n")
    assert (found.type, found.label, found.uuid) == ("ntfs", "my disk\\=", "1-2")


@pytest.mark.parametrize("ours", sorted(set(PARTCLONE_FS_NAMES) - {"ext2", "ext3", "ext4"}))
def test_names_of_partclone_are_translated_both_ways(ours: str) -> None:
    assert fs_type_of(PARTCLONE_FS_NAMES[ours]) == ours


def test_other_spellings_are_understood() -> None:
    assert fs_type_of("FAT32") == "vfat"
    assert fs_type_of("EXTFS") == "extfs"
    assert fs_type_of("SOMETHING") == "something"


@pytest.mark.tools("partclone.ext4", "partclone.fat")
def test_programs_are_found_by_type() -> None:
    assert (partclone_program("ext4") or "").endswith("/partclone.ext4")
    assert (partclone_program("vfat") or "").endswith("/partclone.fat")
    assert partclone_program("crypto_LUKS") is None
