"""Pack format: records of stored chunks behind checksummed headers (docs/image-format.md 3.1)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import ChunkError
from core.ids import Digest
from images.codec import CHUNK_SIZE_MAX, STORED_LENGTH_MAX
from images.digest import quick_check
from images.stores import Encoding

__all__ = [
    "PACK_HEADER",
    "PACK_HEADER_BYTES",
    "RECORD_HEADER_BYTES",
    "DamagedRecord",
    "Record",
    "RecordHeader",
    "read_record",
    "scan_pack",
]

PACK_HEADER = b"OGPACK1\n" + bytes(8)
PACK_HEADER_BYTES = len(PACK_HEADER)
_MAGIC = b"OGRC"
_FIELDS = struct.Struct("<4sB3sIIQ32s")
_CHECK = struct.Struct("<Q")
RECORD_HEADER_BYTES = _FIELDS.size + _CHECK.size
_ENCODINGS = frozenset(map(int, Encoding))
_SEARCH_BYTES = 2**20
"""Window in which the next header is looked for after a damaged one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordHeader:
    """What precedes the stored bytes of a chunk."""

    digest: Digest
    encoding: Encoding
    stored_length: int
    """Bytes that follow the header."""
    raw_length: int
    """Uncompressed bytes."""
    check: int
    """XXH3-64 of the stored bytes."""

    def encode(self) -> bytes:
        """The 64 bytes of the header."""
        fields = _FIELDS.pack(
            _MAGIC, self.encoding, bytes(3), self.stored_length, self.raw_length, self.check, self.digest
        )
        return fields + _CHECK.pack(quick_check(fields))

    @classmethod
    def parse(cls, data: bytes | memoryview) -> RecordHeader:
        """Parse 64 bytes; ChunkError if they are no header."""
        if len(data) != RECORD_HEADER_BYTES:
            raise ChunkError("truncated record header")
        magic, encoding, reserved, stored_length, raw_length, check, digest = _FIELDS.unpack_from(data)
        if magic != _MAGIC or _CHECK.unpack_from(data, _FIELDS.size)[0] != quick_check(data[: _FIELDS.size]):
            raise ChunkError("damaged record header")
        if encoding not in _ENCODINGS or any(reserved):
            raise ChunkError(f"record in unknown encoding {encoding}")
        if not (0 < raw_length <= CHUNK_SIZE_MAX and 0 < stored_length <= STORED_LENGTH_MAX):
            raise ChunkError(f"record of {stored_length} stored and {raw_length} raw bytes")
        return cls(
            digest=Digest(digest),
            encoding=Encoding(encoding),
            stored_length=stored_length,
            raw_length=raw_length,
            check=check,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A whole record found in a pack."""

    offset: int
    """Byte offset of the stored bytes in the pack."""
    header: RecordHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRecord:
    """A stretch of a pack that is no whole record."""

    offset: int
    """Byte offset of the stretch in the pack."""
    length: int
    reason: str
    torn: bool
    """True at the end of the pack: what a crash leaves, not damage."""


def scan_pack(fd: int) -> Iterator[Record | DamagedRecord]:
    """Walk over a pack: each record whose header and stored bytes pass their checks, and each stretch that does not.

    After a damaged record the walk goes on at the next header that passes its check. Reads the whole file, one record
    in memory at a time (not mapped: a bad sector would kill the process). Raises ChunkError if the file is no pack.
    """
    size = os.fstat(fd).st_size
    if size < PACK_HEADER_BYTES:
        yield DamagedRecord(offset=0, length=size, reason="pack without its header", torn=True)
        return
    if _read(fd, PACK_HEADER_BYTES, 0) != PACK_HEADER:
        raise ChunkError("not a pack, or its header is damaged")
    at = PACK_HEADER_BYTES
    while at < size:
        try:
            header, _ = read_record(fd, at)
        except ChunkError as error:
            following = _next_header(fd, at + 1, size)
            yield DamagedRecord(offset=at, length=following - at, reason=error.message, torn=following == size)
            at = following
            continue
        offset = at + RECORD_HEADER_BYTES
        yield Record(offset=offset, header=header)
        at = offset + header.stored_length


def read_record(fd: int, at: int) -> tuple[RecordHeader, memoryview]:
    """The record whose header is at byte `at`, both checked; ChunkError if it is not whole."""
    header = RecordHeader.parse(_read(fd, RECORD_HEADER_BYTES, at))
    stored = memoryview(_read(fd, header.stored_length, at + RECORD_HEADER_BYTES))
    if len(stored) != header.stored_length:
        raise ChunkError("truncated record")
    if quick_check(stored) != header.check:
        raise ChunkError("damaged stored bytes")
    return header, stored


def _read(fd: int, length: int, offset: int) -> bytes:
    try:
        return os.pread(fd, length, offset)
    except OSError as error:
        raise ChunkError(f"cannot be read: {error.strerror}") from error


def _next_header(fd: int, start: int, size: int) -> int:
    """Offset of the next thing that passes for a record header at or after `start`, or the end of the pack."""
    while start < size:
        try:
            window = _read(fd, _SEARCH_BYTES, start)
        except ChunkError:
            start += _SEARCH_BYTES
            continue
        at = window.find(_MAGIC)
        while at >= 0:
            try:
                RecordHeader.parse(_read(fd, RECORD_HEADER_BYTES, start + at))
            except ChunkError:
                at = window.find(_MAGIC, at + 1)
                continue
            return start + at
        start += _SEARCH_BYTES - len(_MAGIC) + 1
    return size
