"""Turns a source into chunks and a manifest: one pass, bounded memory, all cores.

Theory of operation. The calling thread walks the slots that hold DATA. Each slot passes two stages, each with threads
of its own: *hash* (read it, if the source allows reads in any order; digest it), then, unless the store holds the
digest already, *compress*. Apart, because a disk must not stand still while all processors compress. Between and after
the stages the slot comes back to the calling thread, in order; only that thread talks to the store. A slot waits in a
buffer; there are `buffers_for(...)` of them, and that is the bound on memory.
"""

from __future__ import annotations

import mmap
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from core.errors import ImageFileError, LocalError, UsageError
from core.ids import Digest, check_image_name
from core.version import __version__
from images.build_progress import BuildProgress, BuildTally
from images.codec import CHUNK_SIZE_MAX, CHUNK_SIZE_MIN, encode
from images.defaults import CHUNK_SIZE_BY_IMAGE, ZSTD_LEVEL_DEFAULT, chunk_size_for
from images.digest import digest_of
from images.digest_list import DigestList
from images.extents import IMAGE_CHUNKS_MAX, MAX_EXTENTS, Extent, Extents, ExtentsBuilder, Kind
from images.importers.source import ImageSource
from images.manifest import encode_manifest
from images.stores import ChunkWriter, Encoding

__all__ = [
    "BUFFERS_BYTES_MAX",
    "CHUNKS_GROW_AT",
    "ZERO_RUNS_MAX",
    "buffers_for",
    "build_image",
    "fitting_chunk_size",
]

BUFFERS_BYTES_MAX = 128 * 1024 * 1024
"""Slot buffers of one build, unless three of the chunk size need more."""
CHUNKS_GROW_AT = 2**19
"""Slots of an image above which its chunks become larger: 4 MiB up to 2 TiB, 16 MiB from 4 TiB on. A manifest then has
at most 20 MiB up to 8 TiB and 40 MiB at 16 TiB, which daemon and clients hold several times while they work with it."""
_BUFFERS_A_WORKER = 3
_BUFFERS_MIN = 3
_READERS_MIN, _READERS_MAX = 2, 4
"""Threads that read and digest. Two keep a disk at work while one of them digests; more than four make it seek."""
ZERO_RUNS_MAX = 2**18
"""Runs of slots found to be zero that become ZERO extents; zeros beyond stay DATA (stored once, as one chunk)."""
_PROGRESS_S = 0.25
_CONTAINS_BATCH = 64
_ZEROS = memoryview(bytes(CHUNK_SIZE_MAX))


@dataclass(slots=True)
class _Slot:
    """One slot on its way."""

    index: int
    pieces: list[Extent]
    """Its DATA pieces."""
    length: int
    buffer: memoryview
    """chunk_size bytes, page aligned; the slot begins with it."""
    data_bytes: int = 0
    hashed: Future[Digest] = field(default_factory=Future)
    encoded: Future[tuple[Encoding, bytes | bytearray | memoryview]] | None = None


def fitting_chunk_size(size: int | None, wanted: int) -> int:
    """`wanted`, or the next larger power of two that keeps the image within CHUNKS_GROW_AT, as long as there is one.

    CHUNK_SIZE_BY_IMAGE stands for `chunk_size_for(size)`. Like that, it follows the size of the image, not its content,
    so that the versions of a partition share their chunks. UsageError if `wanted` is no chunk size.
    """
    if wanted == CHUNK_SIZE_BY_IMAGE:
        wanted = chunk_size_for(size)
    if not CHUNK_SIZE_MIN <= wanted <= CHUNK_SIZE_MAX or wanted & (wanted - 1):
        raise UsageError(
            f"chunk size of {wanted} bytes", hint=f"a power of two from {CHUNK_SIZE_MIN} to {CHUNK_SIZE_MAX}"
        )
    while size is not None and -(-size // wanted) > CHUNKS_GROW_AT and wanted < CHUNK_SIZE_MAX:
        wanted *= 2
    return wanted


def buffers_for(chunk_size: int, workers: int) -> int:
    """Slot buffers of a build: enough to keep every worker and the reader busy, within BUFFERS_BYTES_MAX."""
    return max(min(workers * _BUFFERS_A_WORKER + 1, BUFFERS_BYTES_MAX // chunk_size), _BUFFERS_MIN)


def build_image(
    source: ImageSource,
    writer: ChunkWriter,
    *,
    name: str,
    chunk_size: int = CHUNK_SIZE_BY_IMAGE,
    level: int = ZSTD_LEVEL_DEFAULT,
    workers: int | None = None,
    progress: Callable[[BuildProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> bytes:
    """Store the chunks of `source` and return the unsigned manifest (version 1: whoever publishes it sets the next).

    `writer` is called from this thread only. `progress` is called here about four times a second and once at the end.
    Whatever is raised, nothing is visible: chunks without a manifest are left for `gc`. Raises what the source and the
    store raise, and LocalError when `cancelled()` says so.
    """
    check_image_name(name)
    build = _Build(source, writer, fitting_chunk_size(source.size, chunk_size), level, progress, cancelled)
    count = workers or os.cpu_count() or 1
    with (
        ThreadPoolExecutor(min(max(count, _READERS_MIN), _READERS_MAX), thread_name_prefix="build-read") as readers,
        ThreadPoolExecutor(count, thread_name_prefix="build") as pool,
    ):
        try:
            build.run(readers, pool, buffers_for(build.chunk_size, count))
        except BaseException:
            readers.shutdown(wait=False, cancel_futures=True)
            pool.shutdown(cancel_futures=True)
            raise
    source.finish()
    extents = build.final_extents()
    return encode_manifest(
        name=name,
        version=1,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        tool=f"ogcast {__version__}",
        source=source.kind,
        size=extents.size,
        chunk_size=build.chunk_size,
        block_size=source.block_size,
        sector_size=source.sector_size,
        fs=source.fs,
        extents=extents,
        digests=build.digests,
    )


class _Build:
    """State of one build; its methods run on the calling thread except `_read` and `_digest`."""

    def __init__(
        self,
        source: ImageSource,
        writer: ChunkWriter,
        chunk_size: int,
        level: int,
        progress: Callable[[BuildProgress], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.chunk_size = chunk_size
        self.digests = DigestList()
        self._source = source
        self._writer = writer
        self._level = level
        self._progress = progress
        self._cancelled = cancelled
        self._size = source.size
        self._stream_bytes = 0
        """Bytes out of a source without a known size."""
        self._zero_runs: list[list[int]] = []
        """[first, last + 1] of slots whose DATA is all zero."""
        spare = (MAX_EXTENTS - len(source.extents)) // 2 if source.extents is not None else ZERO_RUNS_MAX
        self._zero_runs_max = min(ZERO_RUNS_MAX, spare)
        self._zero_digests: dict[int, Digest] = {}
        self._underway: set[Digest] = set()
        """Digests being compressed: the same chunk again need not be."""
        self._shown_s = 0.0
        data_bytes = source.extents.data_bytes if source.extents is not None else None
        self._tally = BuildTally(started_s=time.monotonic(), total=data_bytes)

    def run(self, readers: ThreadPoolExecutor, pool: ThreadPoolExecutor, buffers: int) -> None:
        """Carry every slot through both stages."""
        free = [memoryview(mmap.mmap(-1, self.chunk_size)) for _ in range(buffers)]
        hashing: deque[_Slot] = deque()
        compressing: deque[_Slot] = deque()
        slots = self._slots(free)
        more = True
        while more or hashing or compressing:
            if self._cancelled is not None and self._cancelled():
                raise LocalError("the import was cancelled", hint="the repository shows no new version")
            if more and free:
                slot = next(slots, None)
                if slot is None:
                    more = False
                else:
                    slot.hashed = readers.submit(self._digest, slot)
                    hashing.append(slot)
            if not more or not free:
                _wait_for_either(hashing, compressing)
            self._after_hashing(pool, hashing, compressing)
            self._after_compressing(compressing, free)
            self._show()
        self._show(last=True)

    def final_extents(self) -> Extents:
        """The source's extents with the slots that proved to be zero turned into ZERO."""
        extents = self._source.extents
        if extents is None:
            extents = Extents.all_data(self._stream_bytes)
        if not self._zero_runs:
            return extents
        builder = ExtentsBuilder()
        at = 0
        for first, stop in self._zero_runs:
            start, end = first * self.chunk_size, min(stop * self.chunk_size, extents.size)
            _copy(builder, extents, at, start, zero=False)
            _copy(builder, extents, start, end, zero=True)
            at = end
        _copy(builder, extents, at, extents.size, zero=False)
        return builder.finish()

    def _slots(self, free: list[memoryview]) -> Iterator[_Slot]:
        """Slots with DATA, in order, each in a buffer taken from `free`; read already if the source is ordered."""
        if self._source.extents is None:
            yield from self._slots_of_stream(free)
            return
        extents = self._source.extents
        for index in extents.slots_with_data(self.chunk_size):
            start = int(index) * self.chunk_size
            stop = min(start + self.chunk_size, extents.size)
            pieces = [piece for piece in extents.within(start, stop) if piece.kind is Kind.DATA]
            slot = _Slot(int(index), pieces, stop - start, free.pop())
            slot.data_bytes = sum(piece.length for piece in pieces)
            if self._source.ordered:
                self._read(slot)
            yield slot

    def _slots_of_stream(self, free: list[memoryview]) -> Iterator[_Slot]:
        for index in range(IMAGE_CHUNKS_MAX):
            buffer = free.pop()
            piece = Extent(index * self.chunk_size, self.chunk_size, Kind.DATA)
            got = self._source.read_data(piece, buffer)
            self._stream_bytes += got
            if got:
                yield _Slot(index, [], got, buffer, data_bytes=got)
            else:
                free.append(buffer)
            if got < self.chunk_size:
                return
        raise ImageFileError(
            f"the stream has more than {IMAGE_CHUNKS_MAX} chunks of {self.chunk_size} bytes",
            hint="import it as a file, or with a larger --chunk-size",
        )

    def _read(self, slot: _Slot) -> None:
        """Fill the slot's buffer: DATA from the source, zeros elsewhere."""
        base = slot.index * self.chunk_size
        whole = slot.buffer[: slot.length]
        self._source.read_pieces(slot.pieces, base, whole)
        at = 0
        for piece in slot.pieces:  # after the reading, which may leave anything between the pieces
            start = piece.start - base
            whole[at:start] = _ZEROS[: start - at]
            at = start + piece.length
        whole[at:] = _ZEROS[: slot.length - at]

    def _digest(self, slot: _Slot) -> Digest:
        """First stage, in the pool."""
        if not self._source.ordered:
            self._read(slot)
        return digest_of(slot.buffer[: slot.length])

    def _encode(self, slot: _Slot) -> tuple[Encoding, bytes | bytearray | memoryview]:
        """Second stage, in the pool."""
        return encode(slot.buffer[: slot.length], self._level)

    def _after_hashing(self, pool: ThreadPoolExecutor, hashing: deque[_Slot], compressing: deque[_Slot]) -> None:
        """Take digested slots, in order, and have those compressed that the store does not hold."""
        ready: list[tuple[_Slot, Digest]] = []
        while hashing and len(ready) < _CONTAINS_BATCH and hashing[0].hashed.done():
            slot = hashing.popleft()
            ready.append((slot, slot.hashed.result()))
        if not ready:
            return
        held = self._writer.contains([digest for _, digest in ready])
        for (slot, digest), known in zip(ready, held, strict=True):
            if not known and digest not in self._underway and not self._is_zero(slot, digest):
                self._underway.add(digest)
                slot.encoded = pool.submit(self._encode, slot)
            compressing.append(slot)

    def _after_compressing(self, compressing: deque[_Slot], free: list[memoryview]) -> None:
        """Commit slots in order and take their buffers back."""
        while compressing and (compressing[0].encoded is None or compressing[0].encoded.done()):
            slot = compressing.popleft()
            self._commit(slot)
            free.append(slot.buffer)

    def _commit(self, slot: _Slot) -> None:
        digest = slot.hashed.result()
        tally = self._tally
        tally.done += slot.data_bytes
        if self._is_zero(slot, digest) and self._note_zero(slot.index):
            tally.zero += slot.data_bytes
            return
        if slot.encoded is None and self._is_zero(slot, digest) and not self._writer.contains([digest])[0]:
            slot.encoded = Future()  # a zero slot too many: stored as a chunk after all
            slot.encoded.set_result(self._encode(slot))
        self.digests.append(digest)
        if slot.encoded is None:
            tally.known += slot.data_bytes
            tally.chunks_known += 1
            return
        encoding, stored = slot.encoded.result()
        self._writer.append(digest, memoryview(stored), encoding=encoding, raw_length=slot.length)
        self._underway.discard(digest)
        tally.stored += len(stored)
        tally.chunks_new += 1

    def _is_zero(self, slot: _Slot, digest: Digest) -> bool:
        """The digest of zeros proves that they are: cheaper than looking at each byte."""
        zero = self._zero_digests.get(slot.length)
        if zero is None:
            zero = self._zero_digests[slot.length] = digest_of(bytes(slot.length))
        return digest == zero

    def _note_zero(self, index: int) -> bool:
        runs = self._zero_runs
        if runs and runs[-1][1] == index:
            runs[-1][1] += 1
        elif len(runs) < self._zero_runs_max:
            runs.append([index, index + 1])
        else:
            return False
        return True

    def _show(self, *, last: bool = False) -> None:
        now = time.monotonic()
        tally = self._tally
        if self._progress is None or (not last and now - self._shown_s < _PROGRESS_S):
            return
        self._shown_s = now
        self._progress(tally.snapshot(now))


def _wait_for_either(hashing: deque[_Slot], compressing: deque[_Slot]) -> None:
    """Wait until the first slot of one of the stages can go on; the other stage must not hold it up."""
    if compressing and compressing[0].encoded is None:
        return
    waiting: list[Future[Any]] = [hashing[0].hashed] if hashing else []
    if compressing and compressing[0].encoded is not None:
        waiting.append(compressing[0].encoded)
    if waiting:
        wait(waiting, return_when=FIRST_COMPLETED)


def _copy(builder: ExtentsBuilder, extents: Extents, start: int, stop: int, *, zero: bool) -> None:
    for extent in extents.walk(start, stop):
        builder.add(extent.length, Kind.ZERO if zero and extent.kind is Kind.DATA else extent.kind)
