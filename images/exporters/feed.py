"""An image's content in order, out of a store: what every exporter is fed with."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from core.errors import ChunkError
from images.codec import STORED_LENGTH_MAX, decode_into, verify
from images.manifest import Manifest
from images.stores import ChunkReader, Encoding

__all__ = ["AHEAD_BYTES_MAX", "ExportProgress", "ExportedSlot", "ProgressCall", "slots_of"]

AHEAD_BYTES_MAX = 64 * 1024 * 1024
"""Slot buffers of one export, unless three of the chunk size need more."""
_AHEAD_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportProgress:
    """How far an export is."""

    bytes_done: int
    """Bytes of the image written or passed over."""
    bytes_total: int
    """Image size."""


ProgressCall = Callable[[ExportProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedSlot:
    """One slot, verified. The views are valid until the next one is asked for."""

    start: int
    """First byte of the image it covers."""
    length: int
    content: memoryview | None
    """Its bytes; None where the slot holds no DATA and reads as zero."""
    stored: bytes
    """The chunk as stored; empty without content."""
    encoding: Encoding


@contextmanager
def slots_of(
    manifest: Manifest, chunks: ChunkReader, *, workers: int | None = None, progress: ProgressCall | None = None
) -> Iterator[Iterator[ExportedSlot]]:
    """All slots of an image in order. Chunks are read, decoded and verified ahead in a pool, within AHEAD_BYTES_MAX.

    Raises ChunkError for a chunk that is missing or not what its digest says. Use the iterator inside the block.
    """
    count = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(count, thread_name_prefix="export") as pool:
        feed = _Feed(manifest, chunks, pool, count, progress)
        try:
            yield feed.slots()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class _Feed:
    def __init__(
        self,
        manifest: Manifest,
        chunks: ChunkReader,
        pool: ThreadPoolExecutor,
        workers: int,
        progress: ProgressCall | None,
    ) -> None:
        self._manifest = manifest
        self._chunks = chunks
        self._pool = pool
        self._progress = progress
        ahead = max(min(2 * workers, AHEAD_BYTES_MAX // manifest.chunk_size), _AHEAD_MIN)
        self._free = [bytearray(manifest.chunk_size) for _ in range(ahead)]
        # locate() promises its descriptor only until 64 further packs were opened: locate and read as one step.
        self._reading = threading.Lock()

    def slots(self) -> Iterator[ExportedSlot]:
        manifest, size = self._manifest, self._manifest.chunk_size
        underway: deque[tuple[int, bytearray, Future[tuple[bytes, Encoding]]]] = deque()
        chunk = 0
        for slot in range(-(-manifest.size // size)):
            while self._free and chunk < manifest.chunk_count:
                buffer = self._free.pop()
                underway.append((manifest.slot(chunk), buffer, self._pool.submit(self._fetch, chunk, buffer)))
                chunk += 1
            start = slot * size
            length = min(size, manifest.size - start)
            if underway and underway[0][0] == slot:
                _, buffer, fetched = underway.popleft()
                stored, encoding = fetched.result()
                with memoryview(buffer) as whole:
                    yield ExportedSlot(
                        start=start, length=length, content=whole[:length], stored=stored, encoding=encoding
                    )
                self._free.append(buffer)
            else:
                yield ExportedSlot(start=start, length=length, content=None, stored=b"", encoding=Encoding.RAW)
            if self._progress is not None:
                self._progress(ExportProgress(bytes_done=start + length, bytes_total=manifest.size))

    def _fetch(self, chunk: int, buffer: bytearray) -> tuple[bytes, Encoding]:
        """Read, decode and verify one chunk, in the pool."""
        digest, length = self._manifest.digest(chunk), self._manifest.raw_length(chunk)
        with self._reading:
            place = self._chunks.locate(digest)
            if place.raw_length != length or place.length > STORED_LENGTH_MAX:
                raise ChunkError(f"chunk {digest.hex()[:16]}… has {place.raw_length} bytes where {length} are due")
            stored = os.pread(place.fd, place.length, place.offset)
        try:
            with memoryview(buffer) as whole:
                decode_into(stored, place.encoding, whole[:length])
                verify(whole[:length], digest)
        except ChunkError as error:
            raise ChunkError(
                f"chunk {digest.hex()[:16]}… of {self._manifest.ref} is damaged: {error}",
                hint="`repod verify` names all damaged chunks; import the image again to mend them",
            ) from None
        return stored, place.encoding
