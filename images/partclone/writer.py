"""Writes version 2 partclone images that partclone.restore accepts."""

from __future__ import annotations

from collections.abc import Iterator

from core.errors import UsageError
from images.extents import Extents, Kind
from images.partclone.bitmap import encode_bits
from images.partclone.checksum import ChecksumMode, RunningChecksum, crc32
from images.partclone.header import BLOCK_SIZE_MAX, BLOCK_SIZE_MIN, BitmapMode, Header, encode_header

__all__ = ["BLOCKS_PER_CHECKSUM", "PartcloneWriter", "export_block_size"]

BLOCKS_PER_CHECKSUM = 256
"""What partclone itself writes for 4 KiB blocks and its 1 MiB buffer."""


def export_block_size(size: int, preferred: int) -> int:
    """The largest power of two up to `preferred` that divides `size`, so that the blocks cover every byte.

    partclone drops what lies after the last whole block; an NTFS backup boot sector lies just there.
    """
    block = min(max(1 << (preferred.bit_length() - 1), BLOCK_SIZE_MIN), BLOCK_SIZE_MAX)
    while block >= BLOCK_SIZE_MIN:
        if size % block == 0:
            return block
        block //= 2
    raise UsageError(
        f"an image of {size} bytes has no whole number of {BLOCK_SIZE_MIN}-byte sectors",
        hint="partclone cannot hold it; export it with --format raw or zst",
    )


class PartcloneWriter:
    """Makes the bytes of one image: `head()` once, then `data(piece)` for every used byte in order, then `tail()`.

    A block that holds any DATA or ZERO byte is used; `used_runs` lists them, and `data` must be called with exactly
    the bytes of those runs.
    """

    def __init__(self, extents: Extents, *, fs: str, block_size: int) -> None:
        if extents.size % block_size:
            raise ValueError("block_size must divide the image size: see export_block_size")
        self._extents = extents
        self._block_size = block_size
        used = sum(blocks for _, blocks in self.used_runs())
        self._header = Header(
            image_version=2,
            fs=fs,
            device_size=extents.size,
            total_blocks=extents.size // block_size,
            used_blocks=used,
            block_size=block_size,
            checksum_mode=ChecksumMode.CRC32,
            checksum_size=ChecksumMode.CRC32.size,
            blocks_per_checksum=BLOCKS_PER_CHECKSUM,
            reseed=True,
            bitmap_mode=BitmapMode.BITS,
        )
        self._sums = RunningChecksum(ChecksumMode.CRC32, reseed=True)
        self._group_bytes = BLOCKS_PER_CHECKSUM * block_size
        self._group_left = self._group_bytes
        self._bytes_left = used * block_size

    def used_runs(self) -> Iterator[tuple[int, int]]:
        """Runs of used blocks: first block, number of blocks."""
        size = self._block_size
        start = stop = 0
        for extent in self._extents:
            if extent.kind is Kind.SKIP:
                continue
            first, last = extent.start // size, -(-extent.stop // size)
            if first > stop:
                if stop > start:
                    yield start, stop - start
                start = first
            stop = max(stop, last)
        if stop > start:
            yield start, stop - start

    def head(self) -> Iterator[bytes]:
        """Header and map of used blocks, in pieces."""
        yield encode_header(self._header)
        crc = crc32(b"")
        for piece in encode_bits(self.used_runs(), self._header.total_blocks):
            crc = crc32(piece, crc)
            yield piece
        yield crc.to_bytes(4, "little")

    def data(self, piece: memoryview) -> Iterator[memoryview | bytes]:
        """`piece` with the checksums that fall into it. Views into `piece` are given out; use them before the next."""
        self._bytes_left -= len(piece)
        while piece:
            part = piece[: self._group_left]
            self._sums.update(part)
            yield part
            piece = piece[len(part) :]
            self._group_left -= len(part)
            if not self._group_left:
                yield self._sums.close_group()
                self._group_left = self._group_bytes

    def tail(self) -> bytes:
        """The checksum of a last, short group."""
        if self._bytes_left:
            raise ValueError(f"{self._bytes_left} bytes of used blocks were not given")
        return self._sums.close_group() if self._group_left != self._group_bytes else b""
