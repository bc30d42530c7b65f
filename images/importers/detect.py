"""What a source is, told by its first bytes. Names and suffixes are never looked at."""

from __future__ import annotations

import enum

__all__ = ["PREFIX_BYTES", "Compression", "Content", "compression_of", "content_of", "foreign_reason"]

PREFIX_BYTES = 4096
"""First bytes of a source that detection needs (fewer if the source is shorter)."""


class Compression(enum.Enum):
    """Wrapping of a whole stream."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"
    LZOP = "lzop"


class Content(enum.Enum):
    """What is inside once it is unwrapped."""

    RAW = "raw"
    PARTCLONE = "partclone"
    QCOW2 = "qcow2"
    VMDK = "vmdk"
    VHDX = "vhdx"


_COMPRESSIONS = (
    (b"\x1f\x8b\x08", Compression.GZIP),
    (b"\x28\xb5\x2f\xfd", Compression.ZSTD),
    (b"\xfd7zXZ\x00", Compression.XZ),
    (b"\x89LZO\x00\r\n\x1a\n", Compression.LZOP),
)
_CONTENTS = (
    (b"partclone-image", Content.PARTCLONE),
    (b"QFI\xfb", Content.QCOW2),
    (b"KDMV", Content.VMDK),
    (b"# Disk Descriptor", Content.VMDK),
    (b"COWD", Content.VMDK),
    (b"vhdxfile", Content.VHDX),
)
_FOREIGN = (
    (b"\x7fELF", "a program (ELF)"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG\r\n", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x0antfsclone-image", "an ntfsclone image"),
    (b"\0ntfsclone-image", "an ntfsclone image"),
    (b"PaRtImAgE-VoLuMe", "a partimage image"),
    (b"conectix", "a VHD disk image"),
    (b"<<< ", "a VirtualBox disk image"),
    (b"OGMANIF\n", "an ogcast manifest"),
    (b"OGPACK1\n", "an ogcast pack"),
    (b"\x3a\xff\x26\xed", "an Android sparse image"),
    (b"SQLite format 3\0", "a database"),
)
_ONE_BYTE_OFF_BYTES = 5
"""Magics at least this long are recognised with one byte wrong, shorter ones with one bit: by chance, fewer than one in
a million partitions begins like that."""
_TAR_MAGIC = slice(257, 262)
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_TEXT_BYTES = bytes(range(32, 127)) + b"\t\n\r\f\x1b"


def compression_of(prefix: bytes) -> Compression:
    """How a stream that begins with `prefix` is compressed."""
    for magic, compression in _COMPRESSIONS:
        if prefix.startswith(magic):
            return compression
    if prefix[:3] == b"BZh" and prefix[3:4] in b"123456789" and prefix[4:10] in (_BZIP2_BLOCK, _BZIP2_END):
        return Compression.BZIP2
    if len(prefix) >= 8 and int.from_bytes(prefix[:4], "little") in _ZSTD_SKIPPABLE:
        return Compression.ZSTD
    return Compression.NONE


def content_of(prefix: bytes) -> Content:
    """What uncompressed bytes that begin with `prefix` are; RAW is what nobody claims."""
    for magic, content in _CONTENTS:
        if prefix.startswith(magic):
            return content
    return Content.RAW


def foreign_reason(prefix: bytes) -> str | None:
    """What RAW bytes plainly are instead of a partition or disk, or None. Empty is foreign too."""
    if not prefix:
        return "empty"
    for magic, what in _FOREIGN:
        if prefix.startswith(magic):
            return what
    if prefix[_TAR_MAGIC] == b"ustar":
        return "a tar archive"
    if compression_of(prefix) is not Compression.NONE:
        return f"compressed by {compression_of(prefix).value}, twice"
    if (damaged := _damaged_magic(prefix)) is not None:
        return f"{damaged} whose first bytes are damaged"
    if b"\n" in prefix and not prefix.translate(None, delete=_TEXT_BYTES):
        return "a text file"
    return None


def _damaged_magic(prefix: bytes) -> str | None:
    """The known format whose magic `prefix` all but begins with: taken as RAW, the damage would go unseen."""
    known = [(magic, f"a {content.value} image") for magic, content in _CONTENTS]
    known += [(magic, f"a {compression.value} file") for magic, compression in _COMPRESSIONS]
    known.append((b"BZh9" + _BZIP2_BLOCK, "a bzip2 file"))
    for magic, what in known:
        wrong = [ours ^ theirs for ours, theirs in zip(magic, prefix, strict=False) if ours != theirs]
        close = len(wrong) == 1 and (len(magic) >= _ONE_BYTE_OFF_BYTES or wrong[0].bit_count() == 1)
        if close and len(prefix) >= len(magic):
            return what
    return None


_BZIP2_BLOCK = bytes.fromhex("314159265359")
_BZIP2_END = bytes.fromhex("177245385090")
