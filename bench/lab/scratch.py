"""A folder in memory for the images, repositories and targets of a run.

No disk of this machine may decide a figure about a network. Memory stands for the disks of a room, and those take data
by themselves (DMA); here a processor copies it, in pages of 4 KiB at 0.2 s of a processor a GiB, in pages of 2 MiB at
0.1 s. So the folder has large pages where this process may mount one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.filesystems import has_programs
from bench.lab import shell
from bench.lab.plan import Step
from core.errors import OgcastError

__all__ = ["MEMORY_SHARE", "remove_leftovers", "scratch", "targets_fit", "where_kept"]

MEMORY = Path("/dev/shm")
MEMORY_SHARE = 0.7
"""Targets are kept, and compared, where they fit into so much of the free memory."""
OPTIONS = "huge=always,mode=700,size=100%"
"""tmpfs(5): as much as there is memory, as /dev/shm has it."""
PREFIX = "ogcast-bench-"
_OF_RUN = re.compile(rf"{PREFIX}(?P<pid>[0-9]+)-.+")


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder in memory, or below `folder` where there is none of that. It goes with the block; what is left of runs
    that were killed goes before."""
    memory = MEMORY.is_dir()
    if memory:
        remove_leftovers(MEMORY)
    place = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=MEMORY if memory else folder))
    try:
        if memory:
            _enlarge_pages(place)
        yield place
    finally:
        _remove(place)


def remove_leftovers(folder: Path) -> None:
    """Remove the folders in `folder` whose process is gone."""
    for place in folder.iterdir():
        if (match := _OF_RUN.fullmatch(place.name)) and not Path(f"/proc/{match['pid']}").exists():
            _remove(place)


def targets_fit(folder: Path, count: int, size: int) -> bool:
    """So many targets of `size` bytes can be kept in `folder`, and compared afterwards."""
    return count * size < shutil.disk_usage(folder).free * MEMORY_SHARE


def where_kept(keep: bool) -> str:
    """What a result says of its targets."""
    return "into memory" if keep else "verified, not kept"


def _enlarge_pages(place: Path) -> None:
    """Mount memory of large pages over an empty folder; not everybody may, and not every kernel has it."""
    if os.geteuid() != 0 or not has_programs("mount", "umount"):
        return
    mount = ("mount", "-t", "tmpfs", "-o", OPTIONS, "tmpfs", str(place))
    with contextlib.suppress(OgcastError):
        shell.perform([Step(words=mount)])


def _remove(place: Path) -> None:
    if os.path.ismount(place):
        with contextlib.suppress(OgcastError):  # lazily: who still has a file open there keeps it until it is closed
            shell.perform([Step(words=("umount", "--lazy", str(place)))])
    shutil.rmtree(place, ignore_errors=True)
