"""Reads a partclone image as it streams by: header, map of used blocks, then the data of the used blocks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Protocol

from core.errors import ImageFileError
from images.extents import Extent, Extents, ExtentsBuilder, Kind
from images.partclone.bitmap import BITMAP_PIECE_BYTES, bitmap_bytes, runs_of
from images.partclone.checksum import ChecksumMode, RunningChecksum, crc32
from images.partclone.header import (
    BITMAP_MAGIC,
    HEADER_V2_BYTES,
    BitmapMode,
    Header,
    header_bytes,
    parse_header,
)

__all__ = ["ByteSource", "PartcloneReader"]

_BITMAP_IN_MEMORY_BYTES = 16 * 1024 * 1024
"""Maps beyond this (0.5 TiB of 4 KiB blocks) wait in an unlinked temporary file for their second reading."""
_V1_LONG_CHECKSUM = 8  # old 64-bit builds wrote a long: 4 bytes of CRC, 4 bytes of junk
_DAMAGED_HINT = "the image file is damaged: fetch it again, or make it again"


class ByteSource(Protocol):
    """Bytes that come once, in order."""

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end."""

    def readinto(self, view: memoryview) -> int:
        """Fill `view`; less only at the end."""


class PartcloneReader:
    """One pass over a partclone image.

    The constructor reads header and map; `extents` is then complete. Call `read_data` until all DATA bytes are out,
    then `finish`. Only the map says which blocks are there: the count in the header is known to be wrong at times.
    Raises ImageFileError for truncated or damaged images. `close` gives the temporary file back.
    """

    def __init__(self, stream: ByteSource) -> None:
        self._stream = stream
        prefix = _exactly(stream, HEADER_V2_BYTES, "header")
        self.header: Header = parse_header(prefix + _exactly(stream, header_bytes(prefix) - len(prefix), "header"))
        self._sums = RunningChecksum(self.header.checksum_mode, reseed=self.header.reseed)
        self._map: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_BITMAP_IN_MEMORY_BYTES)  # noqa: SIM115 - close()
        self.used_blocks = 0
        """Used blocks as the map counts them."""
        try:
            self.extents: Extents = self._read_map()
        except BaseException:
            self.close()
            raise
        self._data = _DataBlocks(stream, self.header, self.used_blocks, self._sums)
        self._runs = self._used_byte_runs()
        self._run = next(self._runs, None)

    def read_data(self, extent: Extent, view: memoryview) -> None:
        """Fill `view` with the bytes of a DATA extent or a part of one. Calls must follow each other upwards.

        A piece the map calls free (it became DATA to keep the number of extents bounded) reads as zero.
        """
        at, stop = extent.start, extent.stop
        while at < stop:
            run = self._run
            if run is None or run[0] >= stop:
                view[at - extent.start : stop - extent.start] = bytes(stop - at)
                return
            if at < run[0]:
                view[at - extent.start : run[0] - extent.start] = bytes(run[0] - at)
                at = run[0]
            piece = min(run[1], stop) - at
            self._data.read_into(view[at - extent.start : at - extent.start + piece])
            at += piece
            self._run = (at, run[1]) if at < run[1] else next(self._runs, None)

    def finish(self) -> None:
        """Check that the image ends where its last block does."""
        if self._run is not None:
            raise ImageFileError("the image was not read to its end")
        self._data.finish()

    def close(self) -> None:
        """Free the map; harmless when repeated."""
        self._map.close()

    def _read_map(self) -> Extents:
        header = self.header
        builder = ExtentsBuilder()
        for _, blocks, used in runs_of(self._incoming_map(), header.bitmap_mode, header.total_blocks):
            builder.add(blocks * header.block_size, Kind.DATA if used else Kind.SKIP)
            self.used_blocks += blocks if used else 0
        builder.add(max(header.device_size - header.blocks_bytes, 0), Kind.SKIP)
        return builder.finish()

    def _incoming_map(self) -> Iterator[bytes]:
        """The map's pieces as they arrive, kept for `_kept_map`; what closes the map is checked after the last."""
        header = self.header
        left = bitmap_bytes(header.bitmap_mode, header.total_blocks)
        crc = crc32(b"")
        while left:
            piece = _exactly(self._stream, min(left, BITMAP_PIECE_BYTES), "map of used blocks")
            left -= len(piece)
            crc = crc32(piece, crc)
            self._map.write(piece)
            yield piece
        if header.bitmap_mode is BitmapMode.BITS:
            if _exactly(self._stream, 4, "map of used blocks") != crc.to_bytes(4, "little"):
                raise ImageFileError("damaged map of used blocks: its checksum does not fit", hint=_DAMAGED_HINT)
        elif header.bitmap_mode is BitmapMode.BYTES and _exactly(self._stream, 8, "map of used blocks") != BITMAP_MAGIC:
            raise ImageFileError("damaged map of used blocks: its end mark is missing", hint=_DAMAGED_HINT)

    def _kept_map(self) -> Iterator[bytes]:
        self._map.seek(0)
        while piece := self._map.read(BITMAP_PIECE_BYTES):
            yield piece

    def _used_byte_runs(self) -> Iterator[tuple[int, int]]:
        """Start and stop byte of each run of used blocks, from a second reading of the map."""
        size = self.header.block_size
        for first, blocks, used in runs_of(self._kept_map(), self.header.bitmap_mode, self.header.total_blocks):
            if used:
                yield first * size, (first + blocks) * size


class _DataBlocks:
    """The data section: used blocks in order with checksums among them."""

    def __init__(self, stream: ByteSource, header: Header, used_blocks: int, sums: RunningChecksum) -> None:
        self._stream = stream
        self._header = header
        self._blocks_left = used_blocks
        self._sums = sums
        self._is_v1 = header.checksum_mode is ChecksumMode.V1
        if self._is_v1 and used_blocks:
            self._stream = _V1Blocks(stream, header.block_size)
        self._group_left = self._next_group()
        """Bytes up to the next checksum."""

    def read_into(self, view: memoryview) -> None:
        """The next len(view) bytes of used blocks, checked as far as whole groups are through."""
        while view:
            piece = view[: self._group_left]
            got = self._stream.readinto(piece)
            if got != len(piece):
                raise ImageFileError("truncated partclone image: it ends inside its data", hint=_DAMAGED_HINT)
            self._sums.update(piece)
            self._group_left -= got
            view = view[got:]
            if not self._group_left:
                self._close_group()

    def finish(self) -> None:
        if self._stream.read(1):
            raise ImageFileError("bytes after the end of the partclone image", hint=_DAMAGED_HINT)

    def _next_group(self) -> int:
        header = self._header
        per_group = header.blocks_per_checksum if header.checksum_size and not self._is_v1 else self._blocks_left
        blocks = min(per_group, self._blocks_left)
        self._blocks_left -= blocks
        return blocks * header.block_size

    def _close_group(self) -> None:
        if not self._is_v1 and self._header.checksum_size:
            stored = _exactly(self._stream, self._header.checksum_size, "checksums")
            if stored != self._sums.close_group():
                raise ImageFileError(
                    f"damaged partclone image: {self._header.checksum_mode.name} of a group of blocks does not fit",
                    hint=_DAMAGED_HINT,
                )
        self._group_left = self._next_group()


class _V1Blocks:
    """Version 1 data without its checksums: after every block 4 bytes of CRC, or 8 in images of old 64-bit builds.

    The CRC hashes the first byte of each block block_size times and never starts anew. That proves nothing about the
    content, but tells where the second block ends, and with it how long the field is.
    """

    def __init__(self, stream: ByteSource, block_size: int) -> None:
        self._stream = stream
        self._block_size = block_size
        self._in_block = 0
        first = stream.read(block_size)
        ahead = stream.read(2 * _V1_LONG_CHECKSUM + block_size)
        self._field = _v1_field_bytes(first, ahead, block_size)
        self._ahead = memoryview(first + ahead)

    def read(self, size: int) -> bytes:
        """What follows the last block's field; b"" at a clean end."""
        if self._in_block:
            self._skip_field()
        return self._take(size)

    def readinto(self, view: memoryview) -> int:
        done = 0
        while done < len(view):
            if self._in_block == self._block_size:
                self._skip_field()
            wanted = min(len(view) - done, self._block_size - self._in_block)
            piece = self._take(wanted)
            view[done : done + len(piece)] = piece
            done += len(piece)
            self._in_block += len(piece)
            if len(piece) < wanted:
                break
        return done

    def _skip_field(self) -> None:
        if len(self._take(self._field)) != self._field:
            raise ImageFileError("truncated partclone image: it ends inside its checksums", hint=_DAMAGED_HINT)
        self._in_block = 0

    def _take(self, size: int) -> bytes:
        piece = bytes(self._ahead[:size])
        self._ahead = self._ahead[size:]
        return piece + self._stream.read(size - len(piece)) if len(piece) < size else piece


def _v1_field_bytes(first: bytes, ahead: bytes, block_size: int) -> int:
    """4 or 8: the length of a version 1 checksum field, from block 1 and what follows it (all there is, if short)."""
    if len(ahead) < block_size:  # there is no second block: what is left is the one field
        return _V1_LONG_CHECKSUM if len(ahead) == _V1_LONG_CHECKSUM else 4
    crc = crc32(first[:1] * block_size)
    for field in (4, _V1_LONG_CHECKSUM):
        stored = ahead[field + block_size : field + block_size + 4]
        if stored == crc32(ahead[field : field + 1] * block_size, crc).to_bytes(4, "little"):
            return field
    return 4  # an unknown build: a wrong guess shows at the latest where the image must end


def _exactly(stream: ByteSource, size: int, what: str) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ImageFileError(f"truncated partclone image: it ends inside its {what}", hint=_DAMAGED_HINT)
    return data
