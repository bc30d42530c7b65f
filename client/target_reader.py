"""A target that was restored, or is being restored, as a reader of chunks: read back, proven, and compressed anew.

What it holds changes as soon as somebody starts the system on it: each chunk is compared with its digest whenever it
is read, and one that changed is held no more.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

from client.proto.plan import RestorePlan
from core.errors import ChunkError, RepositoryTroubleError
from core.ids import ChunkIndex, Digest
from images import codec
from images.manifest import Manifest
from images.stores import StoredChunk

__all__ = ["FRAMES_MAX_BYTES", "TargetReader", "is_solid_state"]

FRAMES_MAX_BYTES = 128 << 20
"""Frames kept, so that what several ask for is compressed once; more than all lanes have on their way."""
LEVEL = 1
"""Of zstd: the link is the bottleneck, not the processor."""


def is_solid_state(path: str, *, sysfs: Path = Path("/sys")) -> bool:
    """Whether the disk below a device or file is known not to spin: reading out of order costs it nothing."""
    try:
        facts = os.stat(path)
        number = facts.st_rdev if stat.S_ISBLK(facts.st_mode) else facts.st_dev
        entry = (sysfs / "dev/block" / f"{os.major(number)}:{os.minor(number)}").resolve(strict=True)
        if (entry / "partition").exists():
            entry = entry.parent
        return (entry / "queue/rotational").read_text().strip() == "0"
    except OSError:
        return False


class TargetReader:
    """A ChunkReader. Use on one thread, but for `add`. The target is open only while a chunk is read: nobody is kept
    from it."""

    def __init__(self, path: str, manifest: Manifest, *, whole: bool = True) -> None:
        """`whole`: the target was restored; else it is being restored, and holds what is added."""
        self._path = path
        self._manifest = manifest
        self._plan = RestorePlan(manifest)
        self._chunks: dict[Digest, ChunkIndex] = {}
        for number in range(manifest.chunk_count if whole else 0):
            self._chunks.setdefault(manifest.digest(ChunkIndex(number)), ChunkIndex(number))
        self._frames: OrderedDict[Digest, StoredChunk] = OrderedDict()
        self._frames_bytes = 0
        self.changed = 0
        """Chunks that were not what their digest says any more."""

    def add(self, chunks: Iterable[ChunkIndex]) -> None:
        """These were verified and written, on whatever thread."""
        for chunk in chunks:
            self._chunks[self._manifest.digest(chunk)] = chunk

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """See ChunkReader: what was not found changed yet."""
        return [digest in self._chunks for digest in digests]

    def locate(self, digest: Digest) -> StoredChunk:
        """See ChunkReader. Reads and compresses: milliseconds a chunk. The descriptor is good until FRAMES_MAX_BYTES of
        others were located; a duplicate stays good."""
        frame = self._frames.get(digest)
        if frame is not None:
            self._frames.move_to_end(digest)
            return frame
        chunk = self._chunks.get(digest)
        if chunk is None:
            raise ChunkError(f"chunk {digest.hex()[:16]}… is not on {self._path}")
        try:
            raw = self._read(chunk)
            codec.verify(raw, digest)
        except (ChunkError, OSError) as error:
            del self._chunks[digest]
            self.changed += 1
            raise ChunkError(f"chunk {chunk} cannot be read back from {self._path}: {error}") from error
        return self._keep(digest, raw)

    def close(self) -> None:
        """Free the memory; repeatable."""
        for frame in self._frames.values():
            os.close(frame.fd)
        self._frames.clear()
        self._frames_bytes = 0

    def _read(self, chunk: ChunkIndex) -> bytearray:
        raw = bytearray(self._manifest.raw_length(chunk))  # ZERO and SKIP are zero in a digest
        start, _ = self._manifest.span(chunk)
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for offset, length in self._plan.data_runs(chunk):
                view = memoryview(raw)[offset - start : offset - start + length]
                while view:
                    got = os.preadv(fd, [view], offset)
                    if not got:
                        raise ChunkError("it ends before the image does")
                    view, offset = view[got:], offset + got
        finally:
            os.close(fd)
        return raw

    def _keep(self, digest: Digest, raw: bytearray) -> StoredChunk:
        encoding, stored = codec.encode(memoryview(raw), LEVEL)
        try:
            fd = _memory_file(stored)
        except OSError as error:
            raise RepositoryTroubleError(f"no memory file for a chunk of {self._path}: {error.strerror}") from error
        frame = StoredChunk(fd=fd, offset=0, length=len(stored), encoding=encoding, raw_length=len(raw))
        self._frames[digest] = frame
        self._frames_bytes += frame.length
        while self._frames_bytes > FRAMES_MAX_BYTES and len(self._frames) > 1:
            _, oldest = self._frames.popitem(last=False)
            self._frames_bytes -= oldest.length
            os.close(oldest.fd)
        return frame


def _memory_file(content: bytes | memoryview) -> int:
    """A descriptor that the caller owns. Raises OSError."""
    fd = os.memfd_create("ogcast-frame")
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
    except BaseException:
        os.close(fd)
        raise
    return fd
