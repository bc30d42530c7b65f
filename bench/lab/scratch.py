"""A folder in memory for the images, repositories and targets of a run: no disk of this machine may decide a figure
about a network.

Its pages are the usual ones. Of 2 MiB each they would cost who writes over a target half as much, and who cuts it off
first and lets it grow, as udpcast does, more than before (docs/decisions/0009): nobody is to gain by the lab.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from core.memory import free_memory_bytes

__all__ = ["MEMORY_SHARE", "remove_leftovers", "scratch", "targets_fit", "where_kept"]

MEMORY = Path("/dev/shm")
MEMORY_SHARE = 0.7
"""Targets are kept, and compared, where they fit into so much of the free memory."""
PREFIX = "ogcast-lab-"


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder in memory, or below `folder` where there is none of that, locked as long as it is in use. It goes with
    the block; what is left of runs that were killed goes before."""
    memory = MEMORY.is_dir()
    if memory:
        remove_leftovers(MEMORY)
    place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY if memory else folder))
    lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def remove_leftovers(folder: Path) -> None:
    """Remove what runs that are over left in `folder`: what nobody holds the lock of, wherever he is."""
    for place in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, in use, or gone meanwhile
            lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(place, ignore_errors=True)
            finally:
                os.close(lock)


def targets_fit(folder: Path, count: int, size: int) -> bool:
    """So many targets of `size` bytes can be kept in `folder`, and compared afterwards."""
    free = min(shutil.disk_usage(folder).free, free_memory_bytes())
    return count * size < free * MEMORY_SHARE


def where_kept(keep: bool) -> str:
    """What a result says of its targets."""
    return "into memory" if keep else "verified, not kept"
