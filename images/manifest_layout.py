"""The fixed part of a manifest file and where its sections lie (docs/image-format.md 2)."""

from __future__ import annotations

import struct
from typing import Self

import msgspec

from core.errors import ManifestError
from images.chunktable import CHUNK_RECORD_BYTES, check_chunk_size
from images.codec import CHUNK_SIZE_MAX, STORED_LENGTH_MAX
from images.extents import EXTENT_RECORD_BYTES, IMAGE_CHUNKS_MAX, IMAGE_SIZE_MAX, MAX_EXTENTS
from images.headermap import HEADER_MAP_BYTES_MAX
from images.signing import SIGNATURES_BYTES_MAX

__all__ = ["FORMAT_VERSION", "MANIFEST_BYTES_MAX", "ManifestLayout"]

MANIFEST_MAGIC = b"OGMANIF\n"
FORMAT_VERSION = 1
_HEAD = struct.Struct("<8sHHIQIIIII20s")
_EXTENTS_STORED_MAX = STORED_LENGTH_MAX
"""The records of the most extents are as long as the largest chunk, so their frame has the same bound."""
assert MAX_EXTENTS * EXTENT_RECORD_BYTES <= CHUNK_SIZE_MAX
MANIFEST_BYTES_MAX = (
    _HEAD.size
    + HEADER_MAP_BYTES_MAX
    + _EXTENTS_STORED_MAX
    + 8
    + IMAGE_CHUNKS_MAX * CHUNK_RECORD_BYTES
    + SIGNATURES_BYTES_MAX
)
"""No manifest is larger: a reader may refuse a file or a reply by its length alone."""


class ManifestLayout(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of the 64-byte head."""

    size: int
    """Image size in bytes."""
    chunk_size: int
    """Bytes of a slot."""
    extents: int
    """Number of extents."""
    chunks: int
    """Number of chunks."""
    map_bytes: int
    """Bytes of the header map."""
    extents_bytes: int
    """Bytes of the extents section as stored."""
    signatures_bytes: int = 0
    """Bytes of the signature section."""

    @property
    def map_at(self) -> int:
        """Offset of the header map."""
        return _HEAD.size

    @property
    def extents_at(self) -> int:
        """Offset of the extents section."""
        return _HEAD.size + self.map_bytes

    @property
    def padding_at(self) -> int:
        """Offset of the zero bytes before the chunk table."""
        return self.extents_at + self.extents_bytes

    @property
    def table_at(self) -> int:
        """Offset of the chunk table, a multiple of 8."""
        return -(-self.padding_at // 8) * 8

    @property
    def signatures_at(self) -> int:
        """Offset of the signature section."""
        return self.table_at + self.chunks * CHUNK_RECORD_BYTES

    @property
    def total(self) -> int:
        """Bytes of the whole file."""
        return self.signatures_at + self.signatures_bytes

    def encode(self) -> bytes:
        """The 64 bytes of the head."""
        return _HEAD.pack(
            MANIFEST_MAGIC,
            FORMAT_VERSION,
            0,
            self.map_bytes,
            self.size,
            self.chunk_size,
            self.extents,
            self.chunks,
            self.extents_bytes,
            self.signatures_bytes,
            bytes(20),
        )

    @classmethod
    def parse(cls, data: bytes | memoryview) -> Self:
        """Parse the head of a whole manifest `data`; ManifestError unless the sections fill it exactly."""
        if len(data) < _HEAD.size:
            raise ManifestError(f"manifest of {len(data)} bytes is truncated")
        magic, version, flags, map_bytes, size, chunk_size, extents, chunks, stored, signatures, rest = (
            _HEAD.unpack_from(data)
        )
        if magic != MANIFEST_MAGIC:
            raise ManifestError("not a manifest")
        if version != FORMAT_VERSION:
            raise ManifestError(f"manifest of format version {version}", hint="this ogcast reads version 1: update it")
        if flags or any(rest):
            raise ManifestError("manifest with reserved bits set", hint="a newer ogcast may read it")
        check_chunk_size(chunk_size)
        for what, value, limit in (
            ("image bytes", size, IMAGE_SIZE_MAX),
            ("header map bytes", map_bytes, HEADER_MAP_BYTES_MAX),
            ("extents", extents, MAX_EXTENTS),
            ("chunks", chunks, IMAGE_CHUNKS_MAX),
            ("bytes of extents", stored, _EXTENTS_STORED_MAX),
            ("signature bytes", signatures, SIGNATURES_BYTES_MAX),
        ):
            if value > limit:
                raise ManifestError(f"manifest with {value} {what} (at most {limit} are allowed)")
        layout = cls(
            size=size,
            chunk_size=chunk_size,
            extents=extents,
            chunks=chunks,
            map_bytes=map_bytes,
            extents_bytes=stored,
            signatures_bytes=signatures,
        )
        if layout.total > len(data):
            raise ManifestError(f"manifest of {len(data)} bytes is truncated: it should have {layout.total}")
        if layout.total < len(data):
            raise ManifestError(f"{len(data) - layout.total} bytes after the manifest")
        return layout
