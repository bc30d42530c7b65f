"""Checksums inside partclone images."""

from __future__ import annotations

import enum
import zlib

import xxhash

__all__ = ["ChecksumMode", "RunningChecksum", "crc32"]

_ALL_ONES = 0xFFFFFFFF


class ChecksumMode(enum.IntEnum):
    """Which checksum follows the data, by its number in the header."""

    NONE = 0x00
    CRC32 = 0x20
    XXH64 = 0x30
    XXH3_128 = 0x31
    V1 = 0xFF
    """The CRC32 of version 1 images, which hashes only the first byte of each block: no proof of anything."""

    @property
    def size(self) -> int:
        """Bytes of one checksum."""
        return _SIZES[self]


_SIZES = {
    ChecksumMode.NONE: 0,
    ChecksumMode.CRC32: 4,
    ChecksumMode.XXH64: 8,
    ChecksumMode.XXH3_128: 16,
    ChecksumMode.V1: 4,
}


def crc32(data: bytes | bytearray | memoryview, value: int = _ALL_ONES) -> int:
    """partclone's CRC32: the usual polynomial from all ones, without the final inversion. `value` continues one."""
    return zlib.crc32(data, value ^ _ALL_ONES) ^ _ALL_ONES


class RunningChecksum:
    """The checksum over a group of blocks; with `reseed` each group starts anew, otherwise it runs on."""

    def __init__(self, mode: ChecksumMode, *, reseed: bool) -> None:
        self._mode = mode
        self._reseed = reseed
        self._crc = _ALL_ONES
        self._hash = _hasher(mode)

    def update(self, data: memoryview | bytes | bytearray) -> None:
        """Add data to the group."""
        if self._mode is ChecksumMode.CRC32:
            self._crc = crc32(data, self._crc)
        elif self._hash is not None:
            self._hash.update(data)

    def close_group(self) -> bytes:
        """The checksum as it stands in the stream, `mode.size` bytes; the next group begins."""
        if self._mode is ChecksumMode.CRC32:
            stored = self._crc.to_bytes(4, "little")
        elif self._hash is not None:
            stored = self._hash.intdigest().to_bytes(self._mode.size, "little")  # low half first, as the C structs lie
        else:
            stored = b""
        if self._reseed:
            self._crc = _ALL_ONES
            self._hash = _hasher(self._mode)
        return stored


def _hasher(mode: ChecksumMode) -> xxhash.xxh64 | xxhash.xxh3_128 | None:
    if mode is ChecksumMode.XXH64:
        return xxhash.xxh64(seed=0)
    if mode is ChecksumMode.XXH3_128:
        return xxhash.xxh3_128(seed=0)
    return None
