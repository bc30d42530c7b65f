"""Whether a FAT has entries of 12 bits.

partclone reads those as if they had 16, so that its map calls used clusters free: files would be lost without a word.
A FAT12 holds 4084 clusters at most; all of it can be taken. The kind follows from the number of clusters alone.
"""

from __future__ import annotations

import os
import struct

__all__ = ["is_fat12"]

_BOOT = struct.Struct("<11xHBHBHHxH10xI")
"""Bytes a sector, sectors a cluster, reserved sectors, FATs, root entries, sectors, sectors a FAT, sectors if many."""
_ROOT_ENTRY_BYTES = 32
_FAT16_CLUSTERS_MIN = 4085


def is_fat12(fd: int) -> bool:
    """Whether the FAT that begins at byte 0 of `fd` is a FAT12. What is no FAT at all gives any answer."""
    boot = os.pread(fd, _BOOT.size, 0)
    if len(boot) < _BOOT.size:
        return False
    sector_bytes, cluster_sectors, reserved, fats, root_entries, few, fat_sectors, many = _BOOT.unpack(boot)
    if not sector_bytes or not cluster_sectors or not fat_sectors:  # a FAT32 has no 16-bit size of its FATs
        return False
    root_sectors = -(-root_entries * _ROOT_ENTRY_BYTES // sector_bytes)
    clusters = ((few or many) - reserved - fats * fat_sectors - root_sectors) // cluster_sectors
    return bool(clusters < _FAT16_CLUSTERS_MIN)
