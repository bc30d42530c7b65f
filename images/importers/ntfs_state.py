"""Whether an NTFS was closed properly.

partclone.ntfs copies a volume whose dirty flag is set without a word; every PC that gets such an image begins with a
disk check. Layout: boot sector (bytes per sector, sectors per cluster, first cluster of the MFT), MFT record 3
($Volume), attribute 0x70 ($VOLUME_INFORMATION), whose flags stand at byte 10 of its content.
"""

from __future__ import annotations

import os
import struct

__all__ = ["is_ntfs_dirty"]

_VOLUME_RECORD = 3
_RECORD_BYTES_MAX = 64 * 1024
_ATTRIBUTES_MAX = 64
_VOLUME_INFORMATION = 0x70
_FLAGS_AT = 10
_STRIDE_BYTES = 512
_DIRTY = 0x0001


def is_ntfs_dirty(fd: int) -> bool:
    """True if the volume's dirty flag is set; False if it is clear or cannot be found (partclone judges the rest)."""
    try:
        return bool(_volume_flags(fd) & _DIRTY)
    except (struct.error, OSError, ValueError):
        return False


def _volume_flags(fd: int) -> int:
    boot = os.pread(fd, 512, 0)
    sector_bytes, sectors = struct.unpack_from("<HB", boot, 11)
    (mft_cluster,) = struct.unpack_from("<Q", boot, 48)
    (record_size,) = struct.unpack_from("<b", boot, 64)
    # Large values of both fields are negative powers of two.
    cluster_bytes = sector_bytes * (sectors if sectors <= 128 else 1 << (256 - sectors))
    record_bytes = record_size * cluster_bytes if record_size > 0 else 1 << -record_size
    at = mft_cluster * cluster_bytes + _VOLUME_RECORD * record_bytes
    if not 512 <= record_bytes <= _RECORD_BYTES_MAX or at >= 2**62:
        raise ValueError("not an NTFS boot sector")
    record = _unprotected(os.pread(fd, record_bytes, at))
    (attribute,) = struct.unpack_from("<H", record, 20)
    for _ in range(_ATTRIBUTES_MAX):
        kind, length = struct.unpack_from("<II", record, attribute)
        if kind == _VOLUME_INFORMATION:
            (content,) = struct.unpack_from("<H", record, attribute + 20)
            (flags,) = struct.unpack_from("<H", record, attribute + content + _FLAGS_AT)
            return int(flags)
        attribute += length
    raise ValueError("no volume information")


def _unprotected(record: bytes) -> bytes:
    """The record with the last two bytes of each 512 put back: on disk a serial number stands there (torn writes)."""
    array, count = struct.unpack_from("<HH", record, 4)
    fixed = bytearray(record)
    for stride in range(1, min(count, len(record) // _STRIDE_BYTES + 1)):
        end = stride * _STRIDE_BYTES
        fixed[end - 2 : end] = record[array + 2 * stride : array + 2 * stride + 2].ljust(2, b"\0")
    return bytes(fixed)
