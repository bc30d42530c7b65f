"""Real file systems made in plain files: no root, no mount, from the tools that format disks."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from core.errors import FileSystemError

__all__ = ["EXT4_TOOLS", "NTFS_TOOLS", "find_program", "has_programs", "make_ext4", "make_ntfs"]

COMMAND_TIMEOUT_S = 600
EXT4_TOOLS = ("mke2fs",)
NTFS_TOOLS = ("mkntfs", "ntfscp")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where file system tools live; not on the path of every user."""


def find_program(name: str) -> str | None:
    """Path of a program, also where only root looks for it."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}")


def has_programs(*names: str) -> bool:
    """Whether every one of `names` is installed."""
    return all(find_program(name) for name in names)


def make_ext4(image: Path, *, size: int, tree: Path | None = None) -> None:
    """Make `image` a file of `size` bytes with an ext4 file system that holds a copy of `tree`."""
    _sparse(image, size)
    source = ["-d", str(tree)] if tree is not None else []
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "ogcast", *source, str(image))


def make_ntfs(image: Path, *, size: int, files: dict[str, Path]) -> None:
    """Make `image` a file of `size` bytes with an NTFS file system holding `files` (name in its root: source)."""
    _sparse(image, size)
    _run("mkntfs", "--force", "--fast", "--quiet", "--label", "ogcast", str(image))
    for name, source in files.items():
        _run("ntfscp", "--force", "--quiet", str(image), str(source), name)


def _sparse(image: Path, size: int) -> None:
    with image.open("wb") as file:
        file.truncate(size)


def _run(program: str, *arguments: str) -> None:
    path = find_program(program)
    if path is None:
        raise FileSystemError(f"{program} is not installed", hint="apt install e2fsprogs ntfs-3g")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S)
    if done.returncode != 0:
        raise FileSystemError(f"{program} failed: {done.stderr.strip() or done.stdout.strip()}")
