"""A disk that writes no faster than it is told: a loop device in memory, held back by the kernel's blkio control."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.loops import loop_device
from core.errors import LocalError

__all__ = ["SlowDisk", "slow_disk", "why_not"]

VERSION_1 = Path("/sys/fs/cgroup/blkio")
VERSION_2 = Path("/sys/fs/cgroup")
REMOVE_WAIT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDisk:
    """The disk, and the group of processes that find it slow."""

    device: Path
    group: Path

    def hold_back(self, pid: int) -> None:
        """Make the disk slow for a process and what it starts from now on."""
        (self.group / "cgroup.procs").write_text(str(pid))


def why_not() -> str:
    """Why this machine cannot make a slow disk; empty if it can."""
    if (VERSION_1 / "blkio.throttle.write_bps_device").exists():
        return ""
    with contextlib.suppress(OSError):
        if "io" in (VERSION_2 / "cgroup.controllers").read_text().split():
            return ""
    return "this kernel does not limit the rate of disks (blkio)"


@contextlib.contextmanager
def slow_disk(backing: Path, *, size: int, write_bytes_per_s: int) -> Iterator[SlowDisk]:
    """A device of `size` bytes over the file `backing`. LocalError where `why_not` says so."""
    if why := why_not():
        raise LocalError(why)
    with backing.open("wb") as file:
        file.truncate(size)
    with loop_device(backing) as device:
        facts = device.stat().st_rdev
        numbers = f"{os.major(facts)}:{os.minor(facts)}"
        old = (VERSION_1 / "blkio.throttle.write_bps_device").exists()
        group = (VERSION_1 if old else VERSION_2) / f"oglab-{os.getpid()}"
        group.mkdir()
        try:
            if old:
                (group / "blkio.throttle.write_bps_device").write_text(f"{numbers} {write_bytes_per_s}")
            else:
                (VERSION_2 / "cgroup.subtree_control").write_text("+io")
                (group / "io.max").write_text(f"{numbers} wbps={write_bytes_per_s}")
            yield SlowDisk(device=device, group=group)
        finally:
            _remove(group)


def _remove(group: Path) -> None:
    """A group goes when its last process has gone; one that was killed may take a moment."""
    deadline = time.monotonic() + REMOVE_WAIT_S
    while True:
        try:
            group.rmdir()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
