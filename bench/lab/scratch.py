"""A folder in memory for the images, repositories and targets of a run.

No disk of this machine may decide a figure about a network. Memory stands for the disks of a room, and those take data
by themselves (DMA); here a processor copies it, in pages of 4 KiB at 0.2 s of a processor a GiB, in pages of 2 MiB at
0.1 s. So the folder has large pages where this process may mount one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.filesystems import has_programs
from bench.lab import shell
from bench.lab.plan import Step
from core.errors import OgcastError
from core.memory import free_memory_bytes

__all__ = ["MEMORY_SHARE", "remove_leftovers", "scratch", "targets_fit", "where_kept"]

MEMORY = Path("/dev/shm")
MEMORY_SHARE = 0.7
"""Targets are kept, and compared, where they fit into so much of the free memory."""
OPTIONS = "huge=always,mode=700,size=100%"
"""tmpfs(5): as much as there is memory; what is free of it is asked for before it is filled."""
PREFIX = "ogcast-lab-"
INSIDE = "run"
"""The folder that is given out. The one it lies in is locked as long as that is in use, and not mounted over."""


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder in memory, or below `folder` where there is none of that. It goes with the block; what is left of runs
    that were killed goes before."""
    memory = MEMORY.is_dir()
    if memory:
        remove_leftovers(MEMORY)
    outer = Path(tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY if memory else folder))
    lock = os.open(outer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        inside = outer / INSIDE
        inside.mkdir()
        if memory:
            _enlarge_pages(inside)
        yield inside
    finally:
        _remove(outer)
        os.close(lock)


def remove_leftovers(folder: Path) -> None:
    """Remove what runs that are over left in `folder`: what nobody holds the lock of, wherever he is."""
    for outer in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, in use, or gone meanwhile
            lock = os.open(outer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(outer)
            finally:
                os.close(lock)


def targets_fit(folder: Path, count: int, size: int) -> bool:
    """So many targets of `size` bytes can be kept in `folder`, and compared afterwards."""
    free = min(shutil.disk_usage(folder).free, free_memory_bytes())
    return count * size < free * MEMORY_SHARE


def where_kept(keep: bool) -> str:
    """What a result says of its targets."""
    return "into memory" if keep else "verified, not kept"


def _enlarge_pages(place: Path) -> None:
    """Mount memory of large pages over an empty folder; not everybody may, and not every kernel has it."""
    if os.geteuid() != 0 or not has_programs("mount", "umount"):
        return
    mount = ("mount", "-t", "tmpfs", "-o", OPTIONS, "tmpfs", str(place))
    with contextlib.suppress(OgcastError, subprocess.TimeoutExpired):
        shell.perform([Step(words=mount)])


def _remove(outer: Path) -> None:
    inside = outer / INSIDE
    if os.path.ismount(inside):
        with contextlib.suppress(OgcastError, subprocess.TimeoutExpired):
            # lazily: who still has a file open there keeps it until it is closed
            shell.perform([Step(words=("umount", "--lazy", str(inside)))])
    shutil.rmtree(outer, ignore_errors=True)
