"""zstd frames made without compressing, for content that zstd does not shrink and for zeros (RFC 8878 3.1.1).

Their bytes follow from the format alone, whatever version of the library is installed: a file whose hashes were
published stays the same file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["raw_frame", "raw_frame_length", "zero_frame"]

_HEAD = struct.Struct("<4sBI")
_MAGIC = b"\x28\xb5\x2f\xfd"
_SINGLE_SEGMENT_SIZE_4 = 0xA0
"""Frame header descriptor: the content size follows in 4 bytes, and the window is as large as the content."""
_BLOCK_MAX = 128 * 1024
_BLOCK_HEAD_BYTES = 3
_RAW, _RLE = 0, 1


def raw_frame(content: bytes | bytearray | memoryview) -> bytes:
    """A frame that holds `content` as it is; at most 16 MiB, so that every reader accepts the window."""
    parts: list[bytes | memoryview] = [_head(len(content))]
    view = memoryview(content)
    for start, length, last in _blocks(len(content)):
        parts += [_block_head(_RAW, length, last), view[start : start + length]]
    return b"".join(parts)


def raw_frame_length(length: int) -> int:
    """Bytes of the raw frame of `length` bytes."""
    return _HEAD.size + length + max(-(-length // _BLOCK_MAX), 1) * _BLOCK_HEAD_BYTES


def zero_frame(length: int) -> bytes:
    """A frame of `length` zeros, a few bytes for each 128 KiB."""
    return _head(length) + b"".join(
        _block_head(_RLE, size, last) + (b"\0" if size else b"") for _, size, last in _blocks(length)
    )


def _head(length: int) -> bytes:
    return _HEAD.pack(_MAGIC, _SINGLE_SEGMENT_SIZE_4, length)


def _blocks(length: int) -> Iterator[tuple[int, int, bool]]:
    """Start, length and whether it is the last, of each block; an empty frame has one."""
    for start in range(0, max(length, 1), _BLOCK_MAX):
        size = min(_BLOCK_MAX, length - start)
        yield start, size, start + size == length


def _block_head(kind: int, size: int, last: bool) -> bytes:
    kind = kind if size else _RAW
    return (int(last) | kind << 1 | size << 3).to_bytes(_BLOCK_HEAD_BYTES, "little")
