"""Real input: files of this machine's own system in ext4 or NTFS, and the same file system after updates.

The update is what a package manager does: some packages go, some come, and the files of others are written anew next
to the old ones and renamed over them, with a few bytes more near the front, so that their content shifts as that of a
rebuilt program does. Packages are those dpkg knows, or the folders below /usr/lib, /usr/share … elsewhere. Which ones
is drawn from a fixed seed; the same machine gives the same material.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.filesystems import find_program, make_ext4, make_ntfs
from bench.loops import loop_device
from core.errors import FileSystemError, LocalError, UsageError

__all__ = ["LARGE", "SLIGHT", "Material", "make_material"]

MIB = 1 << 20
SEED = 1
SOURCES = (Path("/usr"), Path("/opt"))
PACKAGE_LISTS = Path("/var/lib/dpkg/info")
LARGEST_FILE_BYTES = 64 * MIB
"""Larger files would make one draw decide everything."""
SLIGHT, LARGE = 0.01, 0.10
"""Parts of the used bytes that an update touches: a few packages, or a month of them."""
REMOVED, ADDED, REPLACED = 0.2, 0.3, 0.5
"""Parts of what an update touches that it removes, adds and writes anew."""
ROOM = 1.6
"""Size of the file system over its used bytes."""
COMMAND_TIMEOUT_S = 600
MOUNT_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Versions of one file system, as sparse files."""

    first: Path
    updated: tuple[Path, ...]
    """The first version after each of the updates asked for, in that order."""
    fs: str
    used_bytes: int
    """Bytes of files in the first version."""
    description: str


def make_material(folder: Path, *, fs: str, used_bytes: int, updates: Sequence[float] = ()) -> Material:
    """Make the file system `fs` (ext4 or ntfs) with about `used_bytes` of this machine's files in `folder`.

    Each of `updates` says which part of the used bytes an update of it touches (SLIGHT, LARGE).

    Needs root (it is mounted while filled, so that blocks are laid out as in real use). Raises UsageError when the
    machine does not have that many bytes of files, LocalError when it cannot mount.
    """
    if os.geteuid() != 0:
        raise LocalError("this measurement mounts file systems", hint="run it as root")
    chosen, reserve = _take(_packages(), used_bytes)
    first = folder / f"{fs}-1.img"
    size = int(used_bytes * ROOM) // MIB * MIB + 64 * MIB
    if fs == "ext4":
        make_ext4(first, size=size)
    elif fs == "ntfs":
        make_ntfs(first, size=size, files={})
    else:
        raise UsageError(f"no material for {fs!a}", hint="ext4 or ntfs")
    with _mounted(first, fs, folder) as root:
        copied = sum(_copy(package, root) for package in chosen)
    updated = tuple(folder / f"{fs}-{2 + number}.img" for number in range(len(updates)))
    for image, touched in zip(updated, updates, strict=True):
        shutil.copyfile(first, image) if fs == "ntfs" else _copy_sparse(first, image)
        with _mounted(image, fs, folder) as root:
            _update(root, chosen, reserve, int(used_bytes * touched))
    description = f"{fs}, {copied / MIB:.0f} MiB of files of /usr and /opt in {size / MIB:.0f} MiB"
    for touched in updates:
        removed, added, replaced = (part * touched * 100 for part in (REMOVED, ADDED, REPLACED))
        description += f"; update: {removed:g} % of the bytes removed, {added:g} % added, {replaced:g} % replaced"
    return Material(first=first, updated=updated, fs=fs, used_bytes=copied, description=description)


@dataclass(frozen=True, slots=True)
class _Package:
    """Files that are installed, replaced and removed together."""

    files: tuple[Path, ...]
    size: int


def _packages() -> list[_Package]:
    """Every package with plain files below SOURCES, shuffled with the fixed seed."""
    groups: dict[str, list[Path]] = {}
    for listing in sorted(PACKAGE_LISTS.glob("*.list")):
        groups[listing.name] = [Path(line) for line in listing.read_text(errors="replace").splitlines()]
    if not groups:
        for source in SOURCES:
            for place, _, names in os.walk(source):
                key = "/".join(Path(place).parts[1:4])
                groups.setdefault(key, []).extend(Path(place) / name for name in names)
    found = []
    for name in sorted(groups):
        files, size = [], 0
        for path in sorted(groups[name]):
            with contextlib.suppress(OSError):
                facts = os.lstat(path)
                if _wanted(facts) and any(path.is_relative_to(source) for source in SOURCES):
                    files.append(path)
                    size += facts.st_size
        if files:
            found.append(_Package(tuple(files), size))
    random.Random(SEED).shuffle(found)
    return found


def _wanted(facts: os.stat_result) -> bool:
    return stat.S_ISREG(facts.st_mode) and facts.st_size <= LARGEST_FILE_BYTES


def _take(packages: list[_Package], used_bytes: int) -> tuple[list[_Package], list[_Package]]:
    chosen: list[_Package] = []
    total = 0
    for position, package in enumerate(packages):
        if total >= used_bytes:
            return chosen, packages[position:]
        if total + package.size <= used_bytes * 1.1:
            chosen.append(package)
            total += package.size
    if total < used_bytes * 0.9:
        raise UsageError(
            f"this machine has only {total // MIB} MiB of files to copy", hint=f"--size {total // MIB} or less"
        )
    return chosen, []


def _copy(package: _Package, root: Path) -> int:
    """Copy the files of one package to the same paths below `root`; returns their bytes."""
    for path in package.files:
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return package.size


def _update(root: Path, chosen: list[_Package], reserve: list[_Package], touched_bytes: int) -> None:
    rng = random.Random(SEED + 1)
    removed = replaced = added = 0
    for package in rng.sample(chosen, len(chosen)):
        files = [root / path.relative_to("/") for path in package.files]
        if removed + package.size <= touched_bytes * REMOVED:
            for file in files:
                file.unlink(missing_ok=True)
            removed += package.size
        elif replaced + package.size <= touched_bytes * REPLACED:
            for file in files:
                if file.exists():
                    _replace(file, rng)
            replaced += package.size
    for package in reserve:
        if added + package.size <= touched_bytes * ADDED:
            added += _copy(package, root)


def _replace(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    cut = len(content) // 8
    fresh = path.with_name(path.name + ".dpkg-new")
    fresh.write_bytes(content[:cut] + rng.randbytes(48) + content[cut:])
    fresh.rename(path)


def _copy_sparse(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--sparse=always", str(source), str(target)], check=True, timeout=COMMAND_TIMEOUT_S)


@contextlib.contextmanager
def _mounted(image: Path, fs: str, folder: Path) -> Iterator[Path]:
    """The file system in `image`, mounted in `folder`; its free space is a hole afterwards where it can be."""
    root = folder / "mounted"
    root.mkdir(exist_ok=True)
    with loop_device(image) as device:
        program = find_program("ntfs-3g" if fs == "ntfs" else "mount")
        if program is None:
            raise FileSystemError(f"cannot mount {fs}", hint="apt install ntfs-3g mount")
        # In the foreground, ntfs-3g ends when all is on the device; detached, it still writes after umount returned.
        words = [program, "-o", "no_detach"] if fs == "ntfs" else [program, "-t", fs]
        with subprocess.Popen([*words, str(device), str(root)], stderr=subprocess.PIPE, text=True) as mounting:
            try:
                _wait_until_mounted(root, mounting, fs)
                yield root
                if fs == "ext4":
                    subprocess.run(["fstrim", str(root)], check=False, capture_output=True, timeout=COMMAND_TIMEOUT_S)
            finally:
                if root.is_mount():
                    subprocess.run(["umount", str(root)], check=True, timeout=COMMAND_TIMEOUT_S)
                else:
                    mounting.kill()
                mounting.wait(COMMAND_TIMEOUT_S)


def _wait_until_mounted(root: Path, mounting: subprocess.Popen[str], fs: str) -> None:
    deadline = time.monotonic() + MOUNT_TIMEOUT_S
    while not root.is_mount():
        if mounting.poll() not in (None, 0) or time.monotonic() > deadline:
            mounting.kill()
            raise FileSystemError(f"cannot mount {fs}: {(mounting.stderr.read() if mounting.stderr else '').strip()}")
        time.sleep(0.05)
