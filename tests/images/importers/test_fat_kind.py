"""FAT12, whose map partclone gets wrong."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from bench.filesystems import find_program
from images.importers import FileSystemUse, ImportOptions, open_source
from images.importers.fat_kind import is_fat12

MIB = 1 << 20


def make_fat(path: Path, bits: int, *, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run([find_program("mkfs.fat") or "", "-F", str(bits), str(path)], check=True, capture_output=True)


def kind_of(path: Path) -> bool:
    with path.open("rb") as file:
        return is_fat12(file.fileno())


@pytest.mark.tools("mkfs.fat", "partclone.fat", "blkid")
@pytest.mark.parametrize("size", [MIB, 3 * MIB + 512, 8 * MIB])
def test_a_fat12_is_taken_fully_and_said_so(tmp_path: Path, size: int) -> None:
    path = tmp_path / "fat"
    make_fat(path, 12, size=size)
    assert kind_of(path)
    with open_source(str(path), options=ImportOptions(fs=FileSystemUse.ALWAYS)) as source:
        assert source.extents is not None
        assert (source.fs.type, source.extents.data_bytes) == ("vfat", size)
        assert any("FAT12" in notice for notice in source.notices)
        source.finish()


@pytest.mark.tools("mkfs.fat", "partclone.fat", "blkid")
@pytest.mark.parametrize(("bits", "size"), [(16, 16 * MIB), (16, 100 * MIB), (32, 64 * MIB)])
def test_the_map_of_the_others_is_taken(tmp_path: Path, bits: int, size: int) -> None:
    path = tmp_path / "fat"
    make_fat(path, bits, size=size)
    assert not kind_of(path)
    with open_source(str(path), options=ImportOptions(fs=FileSystemUse.ALWAYS)) as source:
        assert source.extents is not None
        assert source.extents.data_bytes < 2 * MIB
        assert source.notices == ()
        source.finish()


def test_noise_is_answered(tmp_path: Path) -> None:
    rng = random.Random(12)
    path = tmp_path / "noise"
    for content in (b"", bytes(512), b"\xff" * 512, *(rng.randbytes(64) for _ in range(200))):
        path.write_bytes(content)
        assert kind_of(path) in (True, False)


@pytest.mark.tools("mkfs.fat", "partclone.fat")
def test_a_partclone_image_of_a_fat12_comes_with_a_warning(tmp_path: Path) -> None:
    path, image = tmp_path / "fat", tmp_path / "fat.img"
    make_fat(path, 12, size=2 * MIB)
    program = find_program("partclone.fat") or ""
    done = subprocess.run(
        [program, "-c", "-F", "-L", os.devnull, "-s", str(path), "-o", str(image)], capture_output=True
    )
    assert done.returncode == 0
    with open_source(str(image)) as source:
        assert any("FAT12" in notice for notice in source.notices)
