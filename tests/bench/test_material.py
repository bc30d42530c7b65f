"""Material is real, the same each time, and its second version is mostly the first."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.filesystems import find_program
from bench.material import LARGE, SLIGHT, make_material
from core.errors import UsageError

MIB = 1 << 20


@pytest.mark.root
@pytest.mark.tools("mke2fs", "e2fsck", "mount")
def test_both_versions_are_sound_and_differ(tmp_path: Path) -> None:
    material = make_material(tmp_path, fs="ext4", used_bytes=12 * MIB, updates=[SLIGHT, LARGE])
    assert len({image.read_bytes() for image in (material.first, *material.updated)}) == 3
    for image in (material.first, *material.updated):
        subprocess.run([find_program("e2fsck") or "", "-fn", str(image)], check=True, capture_output=True)
    assert 8 * MIB < material.used_bytes < 16 * MIB


@pytest.mark.root
def test_more_than_the_machine_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only"):
        make_material(tmp_path, fs="ext4", used_bytes=1 << 50)
    assert not list(tmp_path.iterdir())


@pytest.mark.root
def test_an_unknown_file_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no material"):
        make_material(tmp_path, fs="hfs", used_bytes=MIB)
