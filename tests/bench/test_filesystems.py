"""The file systems that tests and measurements start from are real ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench import filesystems
from bench.filesystems import find_program
from core.errors import FileSystemError


@pytest.mark.tools("mke2fs", "e2fsck", "debugfs")
def test_ext4_is_sound_and_holds_the_tree(ext4_image: Path) -> None:
    subprocess.run([find_program("e2fsck") or "", "-fn", str(ext4_image)], check=True, capture_output=True)
    shown = subprocess.run(
        [find_program("debugfs") or "", "-R", "cat /a/b/c/leaf.txt", str(ext4_image)], check=True, capture_output=True
    )
    assert shown.stdout == b"leaf\n"


@pytest.mark.tools("mkntfs", "ntfscp", "ntfscat")
def test_ntfs_holds_the_files(ntfs_image: Path, sample_tree: Path) -> None:
    shown = subprocess.run(
        [find_program("ntfscat") or "", str(ntfs_image), "text.txt"], check=True, capture_output=True
    )
    assert shown.stdout == (sample_tree / "text.txt").read_bytes()


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(filesystems, "SBIN", "")
    with pytest.raises(FileSystemError, match="mke2fs is not installed"):
        filesystems.make_ext4(tmp_path / "x.img", size=1 << 20)


@pytest.mark.tools("mke2fs")
def test_a_refusal_of_the_tool_is_a_documented_error(tmp_path: Path) -> None:
    with pytest.raises(FileSystemError, match="mke2fs failed"):
        filesystems.make_ext4(tmp_path / "x.img", size=1024)
