"""The header of a partclone image, versions "0001" (read) and "0002" (read and written).

Layouts, all little-endian and packed: see docs/importing.md. A header is not trusted: every number is checked before
anything is allocated or computed from it.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from core.errors import ImageFileError
from images.extents import IMAGE_SIZE_MAX
from images.partclone.checksum import ChecksumMode, crc32

__all__ = [
    "BITMAP_MAGIC",
    "BLOCKS_MAX",
    "BLOCK_SIZE_MAX",
    "BLOCK_SIZE_MIN",
    "HEADER_V1_BYTES",
    "HEADER_V2_BYTES",
    "MAGIC",
    "BitmapMode",
    "Header",
    "encode_header",
    "header_bytes",
    "parse_header",
]


MAGIC = b"partclone-image"
BITMAP_MAGIC = b"BiTmAgIc"
"""Closes a bitmap of bytes."""
BLOCK_SIZE_MIN = 512
BLOCK_SIZE_MAX = 64 * 1024 * 1024
BLOCKS_MAX = 2**36
"""Blocks of the largest image read: 256 TiB of 4 KiB blocks, an 8 GiB map."""
HEADER_V1_BYTES = 4160
HEADER_V2_BYTES = 110

_V1 = struct.Struct("<15s15s4s2xiQQQ")
_V2 = struct.Struct("<16s14s4sH16sQQQQIIHHHHIBB")
_ENDIAN = 0xC0DE
_ENDIAN_SWAPPED = 0xDEC0
_FEATURE_BYTES = 18  # the fields from image_version to bitmap_mode
_VERSION_OFFSET = 30
_CPU_BITS = 64


class BitmapMode(enum.IntEnum):
    """How the map of used blocks is written."""

    NONE = 0
    """Not at all: every block is used."""
    BITS = 1
    """One bit a block, lowest bit first, then its CRC32."""
    BYTES = 8
    """One byte a block, 1 = used, then `BITMAP_MAGIC`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the header of a partclone image says, checked."""

    image_version: int
    """1 or 2."""
    fs: str
    """File system as partclone names it: EXTFS, NTFS, FAT32 …"""
    device_size: int
    """Bytes of the partition; may exceed the blocks, never the other way round by a whole block or more."""
    total_blocks: int
    """Blocks the bitmap covers."""
    used_blocks: int
    """Used blocks as the header counts them. May be wrong: count the bitmap."""
    block_size: int
    """Bytes of a block."""
    checksum_mode: ChecksumMode
    checksum_size: int
    """Bytes of one checksum in the stream; 0 for none. Version 1: 4 or 8, only the data tells."""
    blocks_per_checksum: int
    """Used blocks between checksums; 0 for none."""
    reseed: bool
    """Each checksum starts anew; otherwise it runs on from the start of the data."""
    bitmap_mode: BitmapMode

    @property
    def blocks_bytes(self) -> int:
        """Bytes the bitmap covers."""
        return self.total_blocks * self.block_size


def header_bytes(prefix: bytes) -> int:
    """How many bytes the header has whose first 34 bytes are `prefix`; ImageFileError if it is none of partclone."""
    if prefix[: len(MAGIC)] != MAGIC:
        raise ImageFileError("not a partclone image")
    version = prefix[_VERSION_OFFSET : _VERSION_OFFSET + 4]
    if version == b"0001":
        return HEADER_V1_BYTES
    if version == b"0002":
        return HEADER_V2_BYTES
    raise ImageFileError(
        f"partclone image of unknown version {version!a}", hint="versions 0001 and 0002 are read; convert it first"
    )


def parse_header(data: bytes) -> Header:
    """Parse exactly `header_bytes(data)` bytes. Raises ImageFileError for anything no partclone would write."""
    wanted = header_bytes(data)
    if len(data) != wanted:
        raise ImageFileError(f"truncated partclone header: {len(data)} of {wanted} bytes")
    return _checked(_parse_v1(data) if wanted == HEADER_V1_BYTES else _parse_v2(data))


def encode_header(header: Header) -> bytes:
    """The 110 bytes of a version 2 header."""
    body = _V2.pack(
        MAGIC,
        b"0.3.23",
        b"0002",
        _ENDIAN,
        header.fs.encode("ascii", "replace")[:15],
        header.device_size,
        header.total_blocks,
        header.used_blocks,
        header.used_blocks,
        header.block_size,
        _FEATURE_BYTES,
        2,
        _CPU_BITS,
        header.checksum_mode,
        header.checksum_size,
        header.blocks_per_checksum,
        header.reseed,
        header.bitmap_mode,
    )
    return body + crc32(body).to_bytes(4, "little")


def _parse_v1(data: bytes) -> Header:
    _, fs, _, block_size, device_size, total, used = _V1.unpack_from(data)
    return Header(
        image_version=1,
        fs=_text(fs),
        device_size=device_size,
        total_blocks=total,
        used_blocks=used,
        block_size=block_size,
        checksum_mode=ChecksumMode.V1,
        checksum_size=4,
        blocks_per_checksum=1,
        reseed=False,
        bitmap_mode=BitmapMode.BYTES,
    )


def _parse_v2(data: bytes) -> Header:
    if crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise ImageFileError(
            "damaged partclone header: its checksum does not fit", hint="fetch or make the image again"
        )
    (
        _magic,
        _tool,
        _version,
        endian,
        fs,
        device_size,
        total,
        _used_by_superblock,
        used,
        block_size,
        _feature_bytes,
        image_version,
        _cpu_bits,
        checksum_mode,
        checksum_size,
        blocks_per_checksum,
        reseed,
        bitmap_mode,
    ) = _V2.unpack_from(data)
    if endian == _ENDIAN_SWAPPED:
        raise ImageFileError("partclone image written on a big-endian machine", hint="such images are not read")
    if endian != _ENDIAN:
        raise ImageFileError(f"partclone header with byte-order mark {endian:#06x}")
    if image_version != 2:
        raise ImageFileError(f"partclone header 0002 that says version {image_version}")
    try:
        mode, bitmap = ChecksumMode(checksum_mode), BitmapMode(bitmap_mode)
    except ValueError as error:
        raise ImageFileError(f"partclone header with an unknown mode: {error}") from None
    if mode is ChecksumMode.V1:
        raise ImageFileError("partclone header 0002 with the checksum mode of 0001")
    if checksum_size != mode.size:
        raise ImageFileError(f"partclone header with {checksum_size}-byte checksums where {mode.name} has {mode.size}")
    if mode is not ChecksumMode.NONE and blocks_per_checksum == 0:
        raise ImageFileError("partclone header with a checksum after every 0 blocks")
    return Header(
        image_version=2,
        fs=_text(fs),
        device_size=device_size,
        total_blocks=total,
        used_blocks=used,
        block_size=block_size,
        checksum_mode=mode,
        checksum_size=mode.size,
        blocks_per_checksum=blocks_per_checksum if mode is not ChecksumMode.NONE else 0,
        reseed=reseed != 0,
        bitmap_mode=bitmap,
    )


def _checked(header: Header) -> Header:
    size = header.block_size
    if not BLOCK_SIZE_MIN <= size <= BLOCK_SIZE_MAX or size & (size - 1):
        raise ImageFileError(f"partclone header with blocks of {size} bytes")
    if header.total_blocks > min(BLOCKS_MAX, IMAGE_SIZE_MAX // size):
        raise ImageFileError(f"partclone header with {header.total_blocks} blocks of {size} bytes")
    if header.used_blocks > header.total_blocks:
        raise ImageFileError(f"partclone header with {header.used_blocks} used of {header.total_blocks} blocks")
    if not header.blocks_bytes - size < header.device_size <= IMAGE_SIZE_MAX:
        raise ImageFileError(
            f"partclone header with {header.total_blocks} blocks of {size} bytes on a device of {header.device_size}"
        )
    return header


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("ascii", "replace").strip()
