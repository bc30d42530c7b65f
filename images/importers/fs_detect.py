"""Which file system a device holds, and which partclone program reads its map."""

from __future__ import annotations

import subprocess

from images.importers.programs import find_program
from images.importers.source import NO_FILE_SYSTEM
from images.manifest import FileSystem

__all__ = ["PARTCLONE_FS_NAMES", "detect_file_system", "fs_type_of", "parse_blkid", "partclone_program"]

_BLKID_S_MAX = 30.0
_FIELD_CHARS_MAX = 255

_PROGRAMS = {
    "ext2": "partclone.ext2",
    "ext3": "partclone.ext3",
    "ext4": "partclone.ext4",
    "ntfs": "partclone.ntfs",
    "vfat": "partclone.fat",
    "exfat": "partclone.exfat",
    "xfs": "partclone.xfs",
    "btrfs": "partclone.btrfs",
    "f2fs": "partclone.f2fs",
    "hfsplus": "partclone.hfsplus",
    "apfs": "partclone.apfs",
    "jfs": "partclone.jfs",
    "minix": "partclone.minix",
    "nilfs2": "partclone.nilfs2",
    "reiserfs": "partclone.reiserfs",
    "reiser4": "partclone.reiser4",
    "ufs": "partclone.ufs",
    "VMFS": "partclone.vmfs",
}
"""blkid's TYPE to the program; its absence from the machine is not an error."""

PARTCLONE_FS_NAMES = {
    "ext2": "EXTFS",
    "ext3": "EXTFS",
    "ext4": "EXTFS",
    "extfs": "EXTFS",
    "ntfs": "NTFS",
    "vfat": "FAT",
    "exfat": "EXFAT",
    "xfs": "XFS",
    "btrfs": "BTRFS",
    "f2fs": "F2FS",
    "hfsplus": "HFS Plus",
    "apfs": "APFS",
    "jfs": "JFS",
    "minix": "MINIX",
    "nilfs2": "NILFS",
    "reiserfs": "REISERFS",
    "reiser4": "REISER4",
    "ufs": "UFS",
    "VMFS": "VMFS",
}
"""Our type to the name in partclone's header."""


def fs_type_of(partclone_name: str) -> str:
    """Our type for the name in a partclone header; EXTFS stands for three, so it stays `extfs`."""
    word = partclone_name.upper()
    if word.startswith("FAT"):
        return "vfat"
    if word.startswith("EXT") and word != "EXFAT":
        return "extfs"
    found = [ours for ours, theirs in PARTCLONE_FS_NAMES.items() if theirs.upper() == word]
    return found[0] if found else partclone_name.lower()


def partclone_program(fs_type: str) -> str | None:
    """Path of the program for a file system, or None if there is none or it is not installed."""
    name = _PROGRAMS.get(fs_type)
    return find_program(name) if name else None


def detect_file_system(path: str) -> FileSystem:
    """What blkid (util-linux) finds at `path` by probing its content; no type if it finds nothing or is missing."""
    program = find_program("blkid")
    if program is None:
        return NO_FILE_SYSTEM
    try:
        found = subprocess.run(
            [program, "-p", "-o", "export", path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_BLKID_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return NO_FILE_SYSTEM
    return parse_blkid(found.stdout) if found.returncode == 0 else NO_FILE_SYSTEM


def parse_blkid(output: bytes) -> FileSystem:
    """blkid's export format: lines KEY=value, spaces and such escaped by a backslash."""
    fields: dict[str, str] = {}
    for line in output.decode("utf-8", "replace").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            fields[key] = _unescaped(value)[:_FIELD_CHARS_MAX]
    return FileSystem(type=fields.get("TYPE", ""), label=fields.get("LABEL", ""), uuid=fields.get("UUID", ""))


def _unescaped(value: str) -> str:
    letters, escaped = [], False
    for letter in value:
        if letter == "\\" and not escaped:
            escaped = True
            continue
        letters.append(letter)
        escaped = False
    return "".join(letters)
