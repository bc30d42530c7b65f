"""Who uses a device: mounts, swap, device-mapper or RAID holders, loop devices over a file. Reads /proc and /sys."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["block_user", "file_user", "mount_point_of"]

_ESCAPE = re.compile(r"\\([0-7]{3})")


def mount_point_of(mountinfo: str, device: str) -> str | None:
    """The mount point of `device` (`major:minor`) in the text of /proc/self/mountinfo, or None."""
    for line in mountinfo.splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[2] == device:
            return _ESCAPE.sub(lambda code: chr(int(code[1], 8)), fields[4])
    return None


def block_user(number: int, path: str) -> str | None:
    """What uses the block device `number`, as words for a message, or None. Partitions of a disk count too."""
    device = f"{os.major(number)}:{os.minor(number)}"
    mountinfo = _text(Path("/proc/self/mountinfo"))
    swaps = {line.split()[0] for line in _text(Path("/proc/swaps")).splitlines()[1:] if line}
    if (point := _mounted(mountinfo, device, path)) is not None:
        return f"it is mounted on {point}"
    if os.path.realpath(path) in swaps or path in swaps:
        return "it is used as swap"
    entry = Path("/sys/dev/block") / device
    if holders := _names(entry / "holders"):
        return f"{', '.join(holders)} (device mapper or RAID) holds it"
    # the kernel lets a loop device share the device below it with everybody: O_EXCL does not see it
    loops = {backing.st_rdev: over for over, backing in _loops() if stat.S_ISBLK(backing.st_mode)}
    if number in loops:
        return loops[number]
    for part in _names(entry):
        if (number_file := entry / part / "partition").exists():
            part_device = _text(number_file.parent / "dev").strip()
            if (point := _mounted(mountinfo, part_device, f"/dev/{part}")) is not None:
                return f"its partition {part} is mounted on {point}"
            if f"/dev/{part}" in swaps:
                return f"its partition {part} is used as swap"
            if holders := _names(number_file.parent / "holders"):
                return f"{', '.join(holders)} holds its partition {part}"
            for used, over in loops.items():
                if part_device == f"{os.major(used)}:{os.minor(used)}":
                    return f"{over}: its partition {part}"
    return None


def file_user(path: str) -> str | None:
    """What uses a plain file as if it were a disk, or None."""
    if os.path.realpath(path) in {line.split()[0] for line in _text(Path("/proc/swaps")).splitlines()[1:] if line}:
        return "it is used as swap"
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return next((over for over, backing in _loops() if os.path.samestat(backing, facts)), None)


def _mounted(mountinfo: str, device: str, path: str) -> str | None:
    """By number; by path too, because Btrfs and overlay file systems show numbers of their own."""
    if (point := mount_point_of(mountinfo, device)) is not None:
        return point
    real = os.path.realpath(path)
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        source = after.split()[1:2]
        if source and source[0].startswith("/dev/") and os.path.realpath(source[0]) == real:
            return _ESCAPE.sub(lambda code: chr(int(code[1], 8)), before.split()[4])
    return None


def _loops() -> Iterator[tuple[str, os.stat_result]]:
    """Each loop device in use, as words for a message, with the facts of what it is set up over."""
    for loop in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError, ValueError):  # ValueError: a name the file system cannot have
            yield f"/dev/{loop.parent.parent.name} is set up over it", os.stat(_text(loop).rstrip("\n"))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape")
    except OSError:
        return ""


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
