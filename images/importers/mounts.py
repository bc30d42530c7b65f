"""Whether somebody may be writing to a device while it is read."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["family_of", "mounted_for_writing", "mounts_of", "parse_mountinfo"]

_DEPTH_MAX = 8  # device-mapper on RAID on a partition … ; deeper stacks do not exist


def mounted_for_writing(path: str) -> str | None:
    """How `path`, a part of it or something built on it is in use for writing (`mounted at /home`, `swap`), or None."""
    devices = family_of(os.stat(path).st_rdev)
    for device, where, writable in mounts_of(Path("/proc/self/mountinfo").read_text(errors="replace")):
        if writable and device in devices:
            return f"mounted at {where}"
    for line in Path("/proc/swaps").read_text(errors="replace").splitlines()[1:]:
        if line and _rdev(line.split()[0]) in devices:
            return "used as swap"
    return None


def mounts_of(mountinfo: str) -> list[tuple[int, str, bool]]:
    """Device number, mount point and writability of each mount in /proc/self/mountinfo.

    The number is that of the source path where there is one: Btrfs shows an anonymous number of its own.
    """
    return [
        (_rdev(source) or device, where, writable) for device, source, where, writable in parse_mountinfo(mountinfo)
    ]


def parse_mountinfo(text: str) -> list[tuple[int, str, str, bool]]:
    """Device number, source, mount point and writability of the file system (not of the bind) per line."""
    found = []
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        left, right = head.split(), tail.split()
        if len(left) < 6 or len(right) < 3:
            continue
        major, _, minor = left[2].partition(":")
        if not (major.isdecimal() and minor.isdecimal()):
            continue
        writable = "rw" in right[2].split(",")
        found.append((os.makedev(int(major), int(minor)), _plain(right[1]), _plain(left[4]), writable))
    return found


def family_of(device: int) -> dict[int, bool]:
    """The device, its partitions, and everything that is built on any of them; True for those that carry nothing."""
    found: dict[int, bool] = {}
    waiting = [device]
    for _ in range(_DEPTH_MAX):
        kin = {one: _kin(one) for one in waiting}
        found.update((one, not above) for one, above in kin.items())
        waiting = [one for above in kin.values() for one in above if one not in found]
    return found


def _kin(device: int) -> list[int]:
    folder = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    numbers = [*folder.glob("*/dev"), *folder.glob("holders/*/dev")]
    kin = []
    for file in numbers:
        major, _, minor = file.read_text().strip().partition(":")
        if major.isdigit() and minor.isdigit() and (file.parent.parent.name == "holders" or _is_part(file.parent)):
            kin.append(os.makedev(int(major), int(minor)))
    return kin


def _is_part(folder: Path) -> bool:
    return (folder / "partition").exists()


def _rdev(path: str) -> int:
    try:
        return os.stat(path).st_rdev if path.startswith("/") else 0
    except OSError:
        return 0


def _plain(field: str) -> str:
    """The kernel writes blanks in paths as octal escapes."""
    return field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
