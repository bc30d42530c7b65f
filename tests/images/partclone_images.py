"""Partclone images made from their documented layout, for tests: version 1, and version 2 in every mode."""

from __future__ import annotations

import struct

import xxhash

from images.partclone.checksum import crc32

__all__ = ["v1_image", "v2_header", "v2_image"]


def v1_image(
    blocks: list[bytes | None], *, block_size: int = 512, field_bytes: int = 4, tail: int = 0, fs: str = "NTFS"
) -> bytes:
    """A version 1 image: None is a free block. The CRC hashes each block's first byte block_size times, and runs on."""
    used = [block for block in blocks if block is not None]
    header = struct.pack(
        "<15s15s4s2xiQQQ4096x",
        b"partclone-image",
        fs.encode(),
        b"0001",
        block_size,
        len(blocks) * block_size + tail,
        len(blocks),
        len(used),
    )
    bitmap = bytes(0 if block is None else 1 for block in blocks)
    data, crc = bytearray(), crc32(b"")
    for block in used:
        crc = crc32(block[:1] * block_size, crc)
        data += block + crc.to_bytes(4, "little") + b"\xde\xad\xbe\xef"[: field_bytes - 4]
    return header + bitmap + b"BiTmAgIc" + bytes(data)


def v2_header(
    *,
    total: int,
    used: int,
    block_size: int = 512,
    device_size: int | None = None,
    mode: int = 0x20,
    size: int = 4,
    per: int = 2,
    reseed: int = 1,
    bitmap: int = 1,
    endian: int = 0xC0DE,
    fs: bytes = b"EXTFS",
    version: int = 2,
) -> bytes:
    """A version 2 header with a fitting CRC, whatever it says."""
    body = struct.pack(
        "<16s14s4sH16sQQQQIIHHHHIBB",
        b"partclone-image",
        b"0.3.23",
        b"0002",
        endian,
        fs,
        total * block_size if device_size is None else device_size,
        total,
        used,
        used,
        block_size,
        18,
        version,
        64,
        mode,
        size,
        per,
        reseed,
        bitmap,
    )
    return body + crc32(body).to_bytes(4, "little")


def v2_image(
    blocks: list[bytes | None],
    *,
    block_size: int = 512,
    mode: int = 0x20,
    per: int = 2,
    reseed: bool = True,
    bitmap: int = 1,
    tail: int = 0,
) -> bytes:
    """A version 2 image in any mode; None is a free block."""
    if bitmap == 0:
        blocks = [block if block is not None else bytes(block_size) for block in blocks]
    used = [block for block in blocks if block is not None]
    size = {0: 0, 0x20: 4, 0x30: 8, 0x31: 16}[mode]
    out = bytearray(
        v2_header(
            total=len(blocks),
            used=len(used),
            block_size=block_size,
            device_size=len(blocks) * block_size + tail,
            mode=mode,
            size=size,
            per=per,
            reseed=reseed,
            bitmap=bitmap,
        )
    )
    if bitmap == 1:
        packed = bytearray((len(blocks) + 7) // 8)
        for index, block in enumerate(blocks):
            packed[index >> 3] |= (block is not None) << (index & 7)
        out += packed + crc32(packed).to_bytes(4, "little")
    elif bitmap == 8:
        out += bytes(0 if block is None else 1 for block in blocks) + b"BiTmAgIc"
    group: list[bytes] = []
    for index, block in enumerate(used):
        group.append(block)
        out += block
        if (index + 1) % per == 0 or index + 1 == len(used):
            out += _checksum(mode, b"".join(group))
            if reseed:
                group = []
    return bytes(out)


def _checksum(mode: int, data: bytes) -> bytes:
    if mode == 0x20:
        return crc32(data).to_bytes(4, "little")
    if mode == 0x30:
        return xxhash.xxh64_intdigest(data).to_bytes(8, "little")
    if mode == 0x31:
        return xxhash.xxh3_128_intdigest(data).to_bytes(16, "little")
    return b""
