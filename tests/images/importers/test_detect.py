"""What a source is, by its first bytes alone."""

from __future__ import annotations

import bz2
import gzip
import lzma

import pytest
import zstandard

from images.importers.detect import Compression, Content, compression_of, content_of, foreign_reason


@pytest.mark.parametrize(
    ("data", "compression"),
    [
        (gzip.compress(b"x", mtime=0), Compression.GZIP),
        (bz2.compress(b"x"), Compression.BZIP2),
        (bz2.compress(b""), Compression.BZIP2),
        (lzma.compress(b"x"), Compression.XZ),
        (zstandard.compress(b"x"), Compression.ZSTD),
        (b"\x5e\x2a\x4d\x18\x00\x00\x00\x00", Compression.ZSTD),
        (b"\x89LZO\x00\r\n\x1a\n", Compression.LZOP),
        (b"BZh9 is how this text begins", Compression.NONE),
        (b"", Compression.NONE),
        (bytes(4096), Compression.NONE),
    ],
)
def test_compression_is_told_by_magic(data: bytes, compression: Compression) -> None:
    assert compression_of(data) is compression


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b"partclone-image\0", Content.PARTCLONE),
        (b"QFI\xfb\0\0\0\3", Content.QCOW2),
        (b"KDMV\1\0\0\0", Content.VMDK),
        (b"# Disk DescriptorFile\n", Content.VMDK),
        (b"vhdxfile", Content.VHDX),
        (bytes(512), Content.RAW),
    ],
)
def test_content_is_told_by_magic(data: bytes, content: Content) -> None:
    assert content_of(data) is content


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\x7fELF\2\1", "a program"),
        (b"hello\nworld\n", "a text file"),
        (b"PK\x03\x04", "ZIP"),
        (bytes(257) + b"ustar\0", "tar"),
        (gzip.compress(b"x", mtime=0), "twice"),
        (b"\0ntfsclone-image", "ntfsclone"),
    ],
)
def test_what_is_plainly_no_image_is_named(data: bytes, reason: str) -> None:
    assert reason in (foreign_reason(data) or "")


MAGICS = (
    *(b"partclone-image\0", b"QFI\xfb", b"KDMV", b"vhdxfile", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"),
    *(b"\xfd7zXZ\x00", b"\x89LZO\x00\r\n\x1a\n", bz2.compress(b"x")[:10]),
)


@pytest.mark.parametrize("magic", MAGICS)
def test_a_bit_flipped_in_the_magic_is_not_taken_for_a_raw_image(magic: bytes) -> None:
    for bit in range(8 * min(len(magic), 15)):
        flipped = bytearray(magic + bytes(600))
        flipped[bit // 8] ^= 1 << bit % 8
        known = compression_of(flipped) is not Compression.NONE or content_of(flipped) is not Content.RAW
        assert known or foreign_reason(bytes(flipped)) is not None


def test_a_partition_is_not_foreign() -> None:
    assert foreign_reason(bytes(4096)) is None
    assert foreign_reason(b"\xeb\x52\x90NTFS    " + bytes(500)) is None
    assert foreign_reason(bytes(range(256)) * 16) is None
