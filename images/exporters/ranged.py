"""An export that is never written: any range of the file that `export --format` would give, out of the store.

What is read is composed from the chunks. A raw file decodes one chunk at a time; a `.zst` file is the stored frames as
they lie in the packs. Memory is the layout of the file (24 bytes a slot for `.zst`) and one cache, whatever is read.
"""

from __future__ import annotations

import enum
import os
from array import array
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import ChunkError, UsageError
from core.ids import ChunkIndex, Digest
from images.codec import STORED_LENGTH_MAX, decode_into, verify
from images.exporters.filler_frames import raw_frame, raw_frame_length, zero_frame
from images.exporters.seekable_zst import seek_table
from images.extents import IMAGE_CHUNKS_MAX, Kind
from images.manifest import Manifest
from images.stores import ChunkReader, Encoding, StoredChunk

__all__ = ["CACHE_BYTES", "FileForm", "Ranged", "SlotCache", "open_ranged"]

CACHE_BYTES = 64 * 1024 * 1024
"""Decoded slots that one cache keeps: readers of the same stretch cost one decoding."""

_ZERO_AT = -1
"""Stands for the chunk of a slot without DATA."""


class FileForm(enum.StrEnum):
    """Which file an image is exported as."""

    RAW = "raw"
    """The partition or disk itself; ZERO and SKIP read as zeros."""
    ZST = "zst"
    """One zstd frame a slot and a seek table."""


class Ranged(Protocol):
    """A file that can be read anywhere. One thread at a time."""

    size: int
    """Bytes of the file."""

    def read(self, at: int, length: int) -> bytes:
        """The bytes [at, at + length), clipped to the file. ChunkError if a chunk is missing, damaged or changed."""


class SlotCache:
    """The slots used last, at most `bytes_max` of them (but always one). One thread at a time."""

    def __init__(self, bytes_max: int = CACHE_BYTES) -> None:
        self._bytes_max = bytes_max
        self._slots: OrderedDict[tuple[bytes, FileForm, int], bytes | bytearray] = OrderedDict()
        self._bytes = 0

    def get(self, root: bytes, form: FileForm, slot: int, make: Callable[[], bytes | bytearray]) -> bytes | bytearray:
        """The slot of the image with this root, made if it is not there. Not to be changed by the caller."""
        key = (root, form, slot)
        found = self._slots.get(key)
        if found is None:
            found = make()
            self._slots[key] = found
            self._bytes += len(found)
            while self._bytes > self._bytes_max and len(self._slots) > 1:
                self._bytes -= len(self._slots.popitem(last=False)[1])
        else:
            self._slots.move_to_end(key)
        return found

    def clear(self) -> None:
        """Forget all."""
        self._slots.clear()
        self._bytes = 0


def open_ranged(form: FileForm, manifest: Manifest, chunks: ChunkReader, cache: SlotCache) -> Ranged:
    """The file that an export in `form` gives; blocks on the index for a moment a chunk.

    Raises ChunkError if a chunk is missing, UsageError for an image of more slots than a seek table may have.
    """
    if form is FileForm.RAW:
        return _RangedRaw(manifest, chunks, cache)
    return _RangedZst(manifest, chunks, cache)


class _RangedRaw:
    def __init__(self, manifest: Manifest, chunks: ChunkReader, cache: SlotCache) -> None:
        self._manifest = manifest
        self._chunks = chunks
        self._cache = cache
        self.size = manifest.size

    def read(self, at: int, length: int) -> bytes:
        at, stop = min(at, self.size), min(at + length, self.size)
        parts: list[bytes | memoryview] = []
        while at < stop:
            slot, within = divmod(at, self._manifest.chunk_size)
            upto = min(self._manifest.chunk_size, within + stop - at)
            chunk = self._manifest.chunk_of_slot(slot)
            if chunk is None:
                parts.append(bytes(upto - within))
            else:
                parts.append(memoryview(self._content(slot, chunk))[within:upto])
            at += upto - within
        return b"".join(parts)

    def _content(self, slot: int, chunk: ChunkIndex) -> bytes | bytearray:
        return self._cache.get(self._manifest.root, FileForm.RAW, slot, lambda: self._decode(slot, chunk))

    def _decode(self, slot: int, chunk: ChunkIndex) -> bytearray:
        manifest = self._manifest
        content = bytearray(manifest.raw_length(chunk))
        stored, encoding = _read_chunk(self._chunks, manifest.digest(chunk), len(content))
        with memoryview(content) as view:
            decode_into(stored, encoding, view)
            verify(view, manifest.digest(chunk))
        start = slot * manifest.chunk_size
        for extent in manifest.extents.within(start, start + len(content)):
            if extent.kind is not Kind.DATA:  # an export to a file leaves a hole there
                content[extent.start - start : extent.stop - start] = bytes(extent.length)
        return content


class _RangedZst:
    def __init__(self, manifest: Manifest, chunks: ChunkReader, cache: SlotCache) -> None:
        self._manifest = manifest
        self._chunks = chunks
        self._cache = cache
        slots = -(-manifest.size // manifest.chunk_size)
        if slots > IMAGE_CHUNKS_MAX:
            raise UsageError(f"image of {slots} slots (at most {IMAGE_CHUNKS_MAX} fit a seek table)")
        self._chunk_at = np.full(slots, _ZERO_AT, dtype=np.int64)
        self._chunk_at[manifest.table["slot"].astype(np.int64)] = np.arange(manifest.chunk_count)
        lengths = self._frame_lengths()
        self._starts = np.concatenate(([0], np.cumsum(lengths)))
        self._table = self._seek_table(lengths)
        self._frames_end = int(self._starts[-1])
        self.size = self._frames_end + len(self._table)

    def read(self, at: int, length: int) -> bytes:
        at, stop = min(at, self.size), min(at + length, self.size)
        parts: list[bytes | memoryview] = []
        slot = int(np.searchsorted(self._starts, at, side="right")) - 1
        while at < min(stop, self._frames_end):
            start, end = int(self._starts[slot]), int(self._starts[slot + 1])
            upto = min(stop, end)
            parts.append(self._frame(slot, end - start, at - start, upto - start))
            at, slot = upto, slot + 1
        if at < stop:
            parts.append(self._table[at - self._frames_end : stop - self._frames_end])
        return b"".join(parts)

    def _frame(self, slot: int, length: int, start: int, stop: int) -> bytes | memoryview:
        """The bytes [start, stop) of the frame of a slot, which has `length`."""
        chunk = int(self._chunk_at[slot])
        if chunk == _ZERO_AT:
            return memoryview(zero_frame(self._slot_bytes(slot)))[start:stop]
        digest, raw_length = self._manifest.digest(chunk), self._manifest.raw_length(chunk)
        place = _locate(self._chunks, digest, raw_length)
        if _frame_length(place) != length:
            raise ChunkError(
                f"chunk {digest.hex()[:16]}… was stored anew since the file was laid out",
                hint="withdraw the torrent and export it again",
            )
        if place.encoding is Encoding.ZSTD:
            return _pread(place, start, stop, digest)
        made = self._cache.get(
            self._manifest.root, FileForm.ZST, slot, lambda: raw_frame(_pread(place, 0, place.length, digest))
        )
        return memoryview(made)[start:stop]

    def _frame_lengths(self) -> NDArray[np.int64]:
        manifest = self._manifest
        of_chunk = np.zeros(manifest.chunk_count, dtype=np.int64)
        known: dict[Digest, int] = {}
        for chunk in range(manifest.chunk_count):
            digest = manifest.digest(chunk)
            if digest not in known:
                known[digest] = _frame_length(_locate(self._chunks, digest, manifest.raw_length(chunk)))
            of_chunk[chunk] = known[digest]
        lengths = np.empty(len(self._chunk_at), dtype=np.int64)
        is_zero = self._chunk_at == _ZERO_AT
        lengths[~is_zero] = of_chunk[self._chunk_at[~is_zero]]
        if len(lengths):
            lengths[is_zero] = len(zero_frame(manifest.chunk_size))
            if is_zero[-1]:
                lengths[-1] = len(zero_frame(self._slot_bytes(len(lengths) - 1)))
        return lengths

    def _seek_table(self, lengths: NDArray[np.int64]) -> bytes:
        pairs = np.empty((len(lengths), 2), dtype=np.uint32)
        pairs[:, 0] = lengths
        pairs[:, 1] = self._manifest.chunk_size
        if len(lengths):
            pairs[-1, 1] = self._slot_bytes(len(lengths) - 1)
        return seek_table(array("I", pairs.tobytes()))

    def _slot_bytes(self, slot: int) -> int:
        size = self._manifest.chunk_size
        return min(size, self._manifest.size - slot * size)


def _frame_length(place: StoredChunk) -> int:
    return place.length if place.encoding is Encoding.ZSTD else raw_frame_length(place.length)


def _locate(chunks: ChunkReader, digest: Digest, raw_length: int) -> StoredChunk:
    place = chunks.locate(digest)
    if place.raw_length != raw_length or place.length > STORED_LENGTH_MAX:
        raise ChunkError(f"chunk {digest.hex()[:16]}… has {place.raw_length} bytes where {raw_length} are due")
    return place


def _read_chunk(chunks: ChunkReader, digest: Digest, raw_length: int) -> tuple[bytes, Encoding]:
    place = _locate(chunks, digest, raw_length)
    return _pread(place, 0, place.length, digest), place.encoding


def _pread(place: StoredChunk, start: int, stop: int, digest: Digest) -> bytes:
    try:
        data = os.pread(place.fd, stop - start, place.offset + start)
    except OSError as error:
        raise ChunkError(f"chunk {digest.hex()[:16]}… cannot be read: {error.strerror}") from error
    if len(data) != stop - start:
        raise ChunkError(f"the pack of chunk {digest.hex()[:16]}… ends early")
    return data
