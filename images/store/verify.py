"""Verification: read every chunk back, hash it, and say which chunks and images are damaged."""

from __future__ import annotations

import os
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from core.errors import ChunkError, ImageError
from core.ids import Digest, ImageRef
from images.codec import decode_into, verify
from images.digest_list import DigestList, first_of_each
from images.manifest import Manifest
from images.store.catalogue import Catalogue, ImageEntry, read_manifest
from images.store.index import ChunkIndex, Place
from images.store.pack import RECORD_HEADER_BYTES, read_record
from images.store.packs import PackFiles

__all__ = ["DamagedChunk", "DamagedImage", "VerifyProgress", "VerifyReport", "verify_store"]

_ROWS_AT_ONCE = 1024
_AHEAD_PER_WORKER = 2
"""Chunks handed out per worker: enough to keep it busy, few enough to bound memory to some chunks a worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedChunk:
    """A chunk that cannot be had from the store."""

    digest: Digest
    pack: int | None
    """Number of its pack; None if the index does not know the chunk."""
    offset: int | None
    """Byte offset of its stored bytes in the pack."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedImage:
    """An image that cannot be restored from the store."""

    ref: ImageRef
    reason: str
    chunks: int = 0
    """Its chunks that are damaged or missing."""

    def __str__(self) -> str:
        return f"{self.ref}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyProgress:
    """How far a verification is."""

    chunks_done: int
    chunks_total: int
    bytes_done: int
    """Uncompressed bytes hashed."""
    bytes_total: int
    """Uncompressed bytes to hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """Result of a verification."""

    chunks_checked: int
    bytes_checked: int
    """Uncompressed bytes."""
    images_checked: int
    damaged_chunks: tuple[DamagedChunk, ...]
    damaged_images: tuple[DamagedImage, ...]

    @property
    def ok(self) -> bool:
        """True if nothing is damaged."""
        return not self.damaged_chunks and not self.damaged_images


def verify_store(
    catalogue: Catalogue,
    index: ChunkIndex,
    packs: PackFiles,
    *,
    refs: Sequence[ImageRef] | None = None,
    public_key: bytes | None = None,
    progress: Callable[[VerifyProgress], None] | None = None,
    workers: int | None = None,
) -> VerifyReport:
    """Check every chunk of the index, or those of `refs`, and the manifests; signatures too if `public_key` is given.

    The caller keeps gc away. `progress` is called in the calling thread, once a chunk.
    """
    entries = catalogue.images() if refs is None else [catalogue.find(ref) for ref in refs]
    broken: dict[ImageRef, DamagedImage] = {}
    damaged: dict[Digest, DamagedChunk] = {}
    for _, manifest in _manifests(entries, broken, public_key):
        damaged.update((chunk.digest, chunk) for chunk in _missing(index, manifest))

    if refs is None:
        (total, bytes_total), rows = index.totals(), _all_rows(index)
    else:
        wanted = _Wanted(index, (manifest for _, manifest in _manifests(entries, {}, None)))
        total, bytes_total, rows = len(wanted), wanted.raw_bytes, wanted.rows()

    done = bytes_done = 0
    for digest, place, reason in _check_all(packs, rows, workers or os.cpu_count() or 1):
        done += 1
        bytes_done += place.raw_length
        if reason is not None:
            damaged[digest] = DamagedChunk(digest=digest, pack=place.pack, offset=place.offset, reason=reason)
        if progress is not None:
            progress(
                VerifyProgress(chunks_done=done, chunks_total=total, bytes_done=bytes_done, bytes_total=bytes_total)
            )

    if damaged:
        for entry, manifest in _manifests(entries, {}, None):
            count = sum(manifest.digest(chunk) in damaged for chunks in manifest.distinct() for chunk in chunks)
            if count and entry.ref not in broken:
                broken[entry.ref] = DamagedImage(
                    ref=entry.ref, reason=f"{count} chunks are damaged or missing", chunks=count
                )
    return VerifyReport(
        chunks_checked=done,
        bytes_checked=bytes_done,
        images_checked=len(entries),
        damaged_chunks=tuple(damaged.values()),
        damaged_images=tuple(broken[ref] for ref in sorted(broken, key=str)),
    )


def _manifests(
    entries: Sequence[ImageEntry], broken: dict[ImageRef, DamagedImage], public_key: bytes | None
) -> Iterator[tuple[ImageEntry, Manifest]]:
    """The manifests that can be read, one in memory at a time; the others are noted in `broken`."""
    for entry in entries:
        try:
            fd = os.open(entry.path, os.O_RDONLY)
        except OSError as error:
            broken[entry.ref] = DamagedImage(ref=entry.ref, reason=f"manifest cannot be read: {error.strerror}")
            continue
        try:
            manifest = read_manifest(fd, entry.ref)
            if public_key is not None:
                manifest.verify(public_key)
        except (ImageError, OSError) as error:
            broken[entry.ref] = DamagedImage(ref=entry.ref, reason=f"manifest: {error}")
            continue
        finally:
            os.close(fd)
        yield entry, manifest


def _missing(index: ChunkIndex, manifest: Manifest) -> Iterator[DamagedChunk]:
    for chunks in manifest.distinct(at_once=_ROWS_AT_ONCE):
        batch = [manifest.digest(chunk) for chunk in chunks]
        for digest, held in zip(batch, index.contains(batch), strict=True):
            if not held:
                yield DamagedChunk(digest=digest, pack=None, offset=None, reason="not in the index")


def _all_rows(index: ChunkIndex) -> Iterator[tuple[Digest, Place]]:
    after = (-1, -1)
    while rows := index.by_place(after, _ROWS_AT_ONCE):
        yield from rows
        after = (rows[-1][1].pack, rows[-1][1].offset)


class _Wanted:
    """The chunks of some images that the index knows, each once; some 60 bytes a chunk."""

    def __init__(self, index: ChunkIndex, manifests: Iterable[Manifest]) -> None:
        self._index = index
        self._digests = DigestList()
        for manifest in manifests:
            self._digests.extend(manifest.digest(chunk) for chunks in manifest.distinct() for chunk in chunks)
        self._known: array[int] = array("Q")
        """Position in `_digests`, pack and offset of each chunk, one after the other."""
        self.raw_bytes = 0
        """Uncompressed bytes."""
        firsts = first_of_each(self._digests.as_array())
        for at in range(0, len(firsts), _ROWS_AT_ONCE):
            self._look_up(firsts[at : at + _ROWS_AT_ONCE].tolist())

    def __len__(self) -> int:
        return len(self._known) // 3

    def rows(self) -> Iterator[tuple[Digest, Place]]:
        """In the order of the packs, so that disks read forwards."""
        for at in np.lexsort((self._known[2::3], self._known[1::3])):
            digest = self._digests[self._known[3 * int(at)]]
            place = self._index.lookup(digest)
            if place is not None:
                yield digest, place

    def _look_up(self, positions: list[int]) -> None:
        places = self._index.places([self._digests[at] for at in positions])
        for at, place in zip(positions, places, strict=True):
            if place is not None:
                self._known.extend((at, place.pack, place.offset))
                self.raw_bytes += place.raw_length


def _check_all(
    packs: PackFiles, rows: Iterator[tuple[Digest, Place]], workers: int
) -> Iterator[tuple[Digest, Place, str | None]]:
    """Each row with what is wrong with its chunk, checked by a pool of threads, in the order of the rows."""
    waiting: deque[tuple[Digest, Place, Future[str | None]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="verify") as pool:
        for digest, place in rows:
            waiting.append((digest, place, pool.submit(_fault, packs, digest, place)))
            if len(waiting) >= workers * _AHEAD_PER_WORKER:
                first, where, result = waiting.popleft()
                yield first, where, result.result()
        for first, where, result in waiting:
            yield first, where, result.result()


def _fault(packs: PackFiles, digest: Digest, place: Place) -> str | None:
    """What is wrong with one chunk, or None."""
    try:
        header, stored = read_record(packs.fd(place.pack), place.offset - RECORD_HEADER_BYTES)
        if (header.digest, header.stored_length, header.raw_length, header.encoding) != (
            digest,
            place.stored_length,
            place.raw_length,
            place.encoding,
        ):
            return "the pack holds another chunk there than the index says"
        raw = memoryview(bytearray(place.raw_length))
        decode_into(stored, place.encoding, raw)
        verify(raw, digest)
    except FileNotFoundError:
        return "its pack is missing"
    except ChunkError as error:
        return error.message
    except OSError as error:
        return f"its pack cannot be read: {error.strerror}"
    return None
