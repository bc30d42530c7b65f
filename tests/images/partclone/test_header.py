"""Partclone headers: what partclone writes is read, what nobody would write is refused."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import ImageFileError
from images.partclone.checksum import ChecksumMode
from images.partclone.header import (
    BLOCKS_MAX,
    HEADER_V1_BYTES,
    HEADER_V2_BYTES,
    BitmapMode,
    encode_header,
    header_bytes,
    parse_header,
)
from tests.images.partclone_images import v1_image, v2_header


def test_version_2_is_read() -> None:
    header = parse_header(v2_header(total=100, used=40, block_size=4096, mode=0x31, size=16, per=256))
    assert (header.total_blocks, header.used_blocks, header.block_size) == (100, 40, 4096)
    assert header.checksum_mode is ChecksumMode.XXH3_128
    assert header.bitmap_mode is BitmapMode.BITS
    assert header.fs == "EXTFS"


def test_version_1_is_read() -> None:
    image = v1_image([b"a" * 512, None], tail=100)
    header = parse_header(image[:HEADER_V1_BYTES])
    assert (header.image_version, header.total_blocks, header.used_blocks) == (1, 2, 1)
    assert header.device_size == 1124
    assert header.bitmap_mode is BitmapMode.BYTES


def test_what_is_written_is_read_back() -> None:
    header = parse_header(v2_header(total=7, used=3))
    assert parse_header(encode_header(header)) == header
    assert len(encode_header(header)) == HEADER_V2_BYTES


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("blocks of", {"block_size": 0, "total": 1, "used": 0, "device_size": 0}),
        ("blocks of", {"block_size": 3, "total": 4, "used": 1}),
        ("blocks of", {"block_size": 2**31, "total": 1, "used": 1}),
        ("blocks of", {"block_size": 2**27, "total": 1, "used": 1}),
        ("used of", {"total": 4, "used": 5}),
        ("blocks of", {"total": 2**60, "used": 1, "block_size": 4096, "device_size": 2**63}),
        ("blocks of", {"total": BLOCKS_MAX + 1, "used": 1}),
        ("on a device of", {"total": 4, "used": 1, "device_size": 2**63}),
        ("on a device of", {"total": 400, "used": 1, "device_size": 512}),
        ("unknown mode", {"total": 4, "used": 1, "mode": 1}),
        ("unknown mode", {"total": 4, "used": 1, "bitmap": 2}),
        ("mode of 0001", {"total": 4, "used": 1, "mode": 0xFF}),
        ("checksums where", {"total": 4, "used": 1, "size": 16}),
        ("every 0 blocks", {"total": 4, "used": 1, "per": 0}),
        ("big-endian", {"total": 4, "used": 1, "endian": 0xDEC0}),
        ("byte-order", {"total": 4, "used": 1, "endian": 0}),
        ("says version", {"total": 4, "used": 1, "version": 3}),
    ],
)
def test_a_crafted_header_is_refused(what: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ImageFileError, match=what):
        parse_header(v2_header(**fields))


def test_every_flipped_bit_of_a_header_is_found() -> None:
    good = v2_header(total=7, used=3)
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(ImageFileError):
            parse_header(bytes(bad))


def test_other_files_and_versions_are_refused() -> None:
    with pytest.raises(ImageFileError, match="not a partclone"):
        header_bytes(b"\x7fELF" + bytes(60))
    with pytest.raises(ImageFileError, match="unknown version"):
        header_bytes(b"partclone-image".ljust(30, b"\0") + b"0009")
    with pytest.raises(ImageFileError, match="truncated"):
        parse_header(v2_header(total=7, used=3)[:-1])


def test_no_checksum_needs_no_group() -> None:
    assert parse_header(v2_header(total=4, used=1, mode=0, size=0, per=0)).blocks_per_checksum == 0
