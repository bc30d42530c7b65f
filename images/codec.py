"""Stored form of a chunk: one zstd frame, or the bytes themselves when zstd does not shrink them.

Frames come from disks and networks nobody vouches for, so decoding never takes more memory than the chunk:
size, window and the end of the frame are read from its headers before the first byte is decoded.
"""

from __future__ import annotations

import threading

import numpy as np
import zstandard

from core.errors import ChunkError
from core.ids import Digest
from images.digest import digest_of
from images.stores import Encoding

__all__ = [
    "CHUNK_SIZE_MAX",
    "CHUNK_SIZE_MIN",
    "STORED_LENGTH_MAX",
    "decode_frame",
    "decode_into",
    "encode",
    "verify",
]

CHUNK_SIZE_MIN = 64 * 1024
CHUNK_SIZE_MAX = 16 * 1024 * 1024
STORED_LENGTH_MAX = CHUNK_SIZE_MAX + 64 * 1024
"""Stored bytes of one chunk: what the worst frame of the largest chunk may grow to, rounded up."""
_RAW_ABOVE = 0.95
"""A frame that saves less than 5 % costs every client a decode (and the server nothing): such a chunk stays RAW."""
_WINDOW_MAX = CHUNK_SIZE_MAX
"""No frame of ours needs a window larger than the largest chunk."""
_FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
_BLOCK_RLE = 1
_BLOCK_RESERVED = 3


class _Contexts(threading.local):
    """zstd contexts of one thread: they are costly to make and not thread-safe."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_MAX)


_contexts = _Contexts()


def encode(raw: bytes | memoryview, level: int) -> tuple[Encoding, bytes | memoryview]:
    """Compress one chunk at a zstd `level`. Thread-safe; the GIL is released while zstd works.

    RAW gives `raw` itself back, not a copy.
    """
    compressor = _contexts.compressors.get(level)
    if compressor is None:
        compressor = _contexts.compressors[level] = zstandard.ZstdCompressor(level=level, write_content_size=True)
    stored = compressor.compress(raw)
    if len(stored) > len(raw) * _RAW_ABOVE:
        return Encoding.RAW, raw
    return Encoding.ZSTD, stored


def decode_into(stored: bytes | bytearray | memoryview, encoding: Encoding, out: memoryview) -> None:
    """Decode one chunk into `out`, which is exactly its raw length. Thread-safe; the GIL is released while zstd works.

    Raises ChunkError unless `stored` is one frame that decodes to exactly len(out) bytes; `out` may then hold rubbish.
    The digest is not checked here: see `verify`.
    """
    if encoding is Encoding.RAW:
        if len(stored) != len(out):
            raise ChunkError(f"RAW chunk of {len(stored)} bytes where {len(out)} are due")
        # numpy lets other threads run while it copies; slice assignment would not
        np.copyto(np.frombuffer(out, dtype=np.uint8), np.frombuffer(stored, dtype=np.uint8))
        return
    if encoding is not Encoding.ZSTD:
        raise ChunkError(f"chunk in unknown encoding {encoding!r}")
    _check_frame(stored, len(out))
    reader = _contexts.decompressor.stream_reader(stored, read_across_frames=False)
    try:
        done = reader.readinto(out)
        while done < len(out) and (step := reader.readinto(out[done:])):
            done += step
        beyond = len(reader.read(1))
    except zstandard.ZstdError as error:
        raise ChunkError(f"zstd frame that does not decode: {error}") from None
    if done != len(out) or beyond:
        raise ChunkError(f"zstd frame that does not decode to {len(out)} bytes")


def decode_frame(stored: bytes | bytearray | memoryview, raw_length: int) -> memoryview:
    """Decode one zstd frame of exactly `raw_length` bytes into memory of its own, taken after the frame was checked."""
    _check_frame(stored, raw_length)
    out = memoryview(bytearray(raw_length))
    decode_into(stored, Encoding.ZSTD, out)
    return out


def verify(raw: bytes | bytearray | memoryview, digest: Digest) -> None:
    """Raise ChunkError unless `raw` is the chunk `digest` names."""
    if digest_of(raw) != digest:
        raise ChunkError(f"chunk content is not what its digest {digest.hex()[:16]}… says")


def _check_frame(stored: bytes | bytearray | memoryview, raw_length: int) -> None:
    """Raise ChunkError unless `stored` is, by its headers (RFC 8878 3.1.1), one frame of `raw_length` bytes."""
    length = len(stored)
    if length > STORED_LENGTH_MAX or raw_length > CHUNK_SIZE_MAX:
        raise ChunkError(f"stored chunk of {length} bytes")
    if bytes(stored[:4]) != _FRAME_MAGIC:
        raise ChunkError("not a zstd frame")
    try:
        frame = zstandard.get_frame_parameters(stored)
        at = zstandard.frame_header_size(stored)
    except zstandard.ZstdError as error:
        raise ChunkError(f"damaged zstd frame header: {error}") from None
    if frame.content_size != raw_length:
        raise ChunkError(f"zstd frame that does not state the {raw_length} bytes due")
    if frame.dict_id:
        raise ChunkError("zstd frame that needs a dictionary")
    if frame.window_size > _WINDOW_MAX:
        raise ChunkError(f"zstd frame that needs a window of {frame.window_size} bytes")
    last = 0
    while not last:
        if at + 3 > length:
            raise ChunkError("truncated zstd frame")
        block = stored[at] | stored[at + 1] << 8 | stored[at + 2] << 16
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        if kind == _BLOCK_RESERVED:
            raise ChunkError("zstd frame with a reserved block type")
        at += 3 + (1 if kind == _BLOCK_RLE else size)
    at += 4 if frame.has_checksum else 0
    if at != length:
        raise ChunkError("truncated zstd frame" if at > length else "bytes after the zstd frame")
