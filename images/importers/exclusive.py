"""Whether somebody holds a device whom the mounts of this process do not show, and keeping others off it meanwhile.

A mount lives on in every mount namespace that copied it (containers, sandboxed services, `ip netns exec`): `umount`
here says nothing of those, and a file system that is still mounted has written neither its files nor its superblock.
Only an exclusive opening sees it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from images.importers.mounts import family_of, mounts_of

__all__ = ["ExclusiveHold", "holder_of"]

_PROCESSES_MAX = 65536
"""Processes whose mounts are looked through to name the one that holds a device."""


class ExclusiveHold:
    """Holds `path`, or what is built on it, so that nobody mounts or claims it; `user` says who was there before.

    A device that is mounted here (read-only: the caller looked) is not held: the kernel would not let it be.
    """

    def __init__(self, path: str) -> None:
        self.user: str | None = None
        """Who holds it already, as words for a message; nothing is held then."""
        self._fds: list[int] = []
        devices = family_of(os.stat(path).st_rdev)
        mounted = {device for device, _, _ in mounts_of(Path("/proc/self/mountinfo").read_text(errors="replace"))}
        if mounted.isdisjoint(devices):
            self._take(path, devices)

    def _take(self, path: str, devices: dict[int, bool]) -> None:
        own = os.stat(path).st_rdev
        for device, is_leaf in devices.items():
            if not is_leaf:  # its partitions, or what is built on it, hold it for good reason: those are asked
                continue
            try:
                self._fds.append(
                    os.open(path if device == own else _node(device), os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
                )
            except OSError as error:
                if error.errno == errno.EBUSY:
                    self.user = holder_of(device)
                    self.close()
                    return

    def close(self) -> None:
        """Let it go; harmless when repeated."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()


def holder_of(device: int) -> str:
    """Who has a busy device (its number) mounted in any mount namespace, as words; else that somebody holds it."""
    seen: set[str] = set()
    for _, process in zip(range(_PROCESSES_MAX), Path("/proc").glob("[0-9]*"), strict=False):
        with contextlib.suppress(OSError):  # it ended meanwhile
            namespace = os.readlink(process / "ns" / "mnt")
            if namespace in seen:
                continue
            seen.add(namespace)
            for mounted, where, _ in mounts_of((process / "mountinfo").read_text(errors="replace")):
                if mounted == device:
                    name = (process / "comm").read_text(errors="replace").strip()
                    return f"mounted at {where} in the mount namespace of process {process.name} ({name})"
    return "held by another program"


def _node(device: int) -> str:
    folder = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    return f"/dev/{folder.resolve().name.replace('!', '/')}"
