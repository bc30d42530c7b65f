"""Ring: the verified frames a peer passes on, in a bounded amount of memory, the oldest dropped first.

Frames lie in segments, each an anonymous memory file that is written once, from its beginning to its end, and never
again: pages that `sendfile` has queued on a socket must not change under it. A lane that sends a frame holds a
duplicate of the descriptor, so that a segment that was dropped meanwhile lives as long as somebody sends from it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from core.errors import ChunkError
from core.ids import ChunkIndex, Digest
from core.memory import free_memory_bytes
from images.manifest import Manifest
from images.stores import Encoding, StoredChunk

__all__ = ["RING_BYTES_MAX", "RING_EASY_BYTES", "RING_SHARE", "Ring"]

RING_BYTES_MAX = 1 << 30
RING_EASY_BYTES = 128 << 20
"""Beyond this, what others can give as well is let go of: to write to memory that nobody touched before may take longer
than everything else on a chunk's way, and eight peers that each keep all of an image keep it eight times."""
RING_SHARE = 0.25
"""Of the memory that is free, or would be without the ring."""
SEGMENT_BYTES = 16 << 20
"""Few enough descriptors (64 for the largest ring), small enough pieces to drop."""


class _Segment(msgspec.Struct, eq=False):
    fd: int
    size: int = 0
    chunks: list[int] = msgspec.field(default_factory=list)


class _Handed(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A segment as another process is told of it."""

    fd: int
    size: int
    frames: list[tuple[int, int, int, int]]
    """Chunk, offset, length, encoding."""


class Ring:
    """A ChunkReader of what was appended and not dropped yet. Use on one thread; `locate` may be called from any.

    A chunk whose digest is held already is not stored twice. `on_dropped` names the chunks that are held no more.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        limit_bytes: int = RING_BYTES_MAX,
        free_bytes: Callable[[], int] | None = None,
        on_dropped: Callable[[list[int]], None] = lambda chunks: None,
        segment_bytes: int = SEGMENT_BYTES,
        easy_bytes: int = RING_EASY_BYTES,
    ) -> None:
        """`free_bytes` says how much memory is free; it is asked whenever the ring grows by a segment.

        Below `easy_bytes` nothing is dropped for being spare.
        """
        self._manifest = manifest
        self._limit = limit_bytes
        self._free = free_bytes or free_memory_bytes
        self.on_dropped = on_dropped
        """Told which chunks are held no more."""
        self.is_spare: Callable[[list[int]], bool] = lambda chunks: False
        """Asked whether others can give some chunks as well."""
        self._easy = easy_bytes
        self._segment_bytes = segment_bytes
        self._segments: deque[_Segment] = deque()
        self._places: dict[Digest, StoredChunk] = {}
        self._bytes = 0
        self.dropped = 0
        """Chunks dropped for want of memory."""
        self.spared = 0
        """Chunks dropped because others have them."""

    @property
    def stored_bytes(self) -> int:
        """Memory in use."""
        return self._bytes

    def __len__(self) -> int:
        """Frames held."""
        return len(self._places)

    def append(self, chunk: ChunkIndex, frame: memoryview | bytes, encoding: Encoding) -> None:
        """Keep a copy of a verified frame; older ones are dropped if it does not fit beside them."""
        digest = self._manifest.digest(chunk)
        if digest in self._places:
            return
        segment = self._segment_for(len(frame))
        offset = segment.size
        view = memoryview(frame)
        while view:
            view = view[os.pwrite(segment.fd, view, segment.size) :]
            segment.size = offset + len(frame) - len(view)
        segment.chunks.append(chunk)
        self._bytes += len(frame)
        self._places[digest] = StoredChunk(
            fd=segment.fd,
            offset=offset,
            length=len(frame),
            encoding=encoding,
            raw_length=self._manifest.raw_length(chunk),
        )

    def locate(self, digest: Digest) -> StoredChunk:
        """Where a frame lies; ChunkError if it is not held (any more)."""
        try:
            return self._places[digest]
        except KeyError:
            raise ChunkError(f"chunk {digest.hex()[:16]}… is not in memory") from None

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """Which of `digests` are held, in order."""
        return [digest in self._places for digest in digests]

    def chunks(self) -> list[int]:
        """The chunks that were appended and are still held, the oldest first."""
        return [chunk for segment in self._segments for chunk in segment.chunks]

    def hand_over(self) -> tuple[bytes, list[int]]:
        """What another process that inherits the descriptors of the second value takes over with `take_over`."""
        segments = []
        for segment in self._segments:
            places = [(chunk, self._places[self._manifest.digest(ChunkIndex(chunk))]) for chunk in segment.chunks]
            frames = [(chunk, place.offset, place.length, int(place.encoding)) for chunk, place in places]
            segments.append(_Handed(fd=segment.fd, size=segment.size, frames=frames))
        return msgspec.msgpack.encode(segments), [segment.fd for segment in self._segments]

    def take_over(self, handed: bytes) -> None:
        """Own what another ring, of the same image, handed over. The memory is that ring's: nothing is copied.

        ChunkError if `handed` makes no sense.
        """
        try:
            segments = msgspec.msgpack.decode(handed, type=list[_Handed])
        except msgspec.MsgspecError as error:
            raise ChunkError(f"frames were handed over in no form known here: {error}") from None
        for handed_segment in segments:
            segment = _Segment(handed_segment.fd, size=handed_segment.size)
            for number, offset, length, encoding in handed_segment.frames:
                if not 0 <= number < self._manifest.chunk_count or encoding not in list(Encoding):
                    raise ChunkError(f"chunk {number} was handed over, which is none of this image")
                chunk = ChunkIndex(number)
                segment.chunks.append(chunk)
                self._places[self._manifest.digest(chunk)] = StoredChunk(
                    fd=segment.fd,
                    offset=offset,
                    length=length,
                    encoding=Encoding(encoding),
                    raw_length=self._manifest.raw_length(chunk),
                )
            self._segments.append(segment)
            self._bytes += segment.size

    def close(self) -> None:
        """Forget everything; repeatable."""
        self._places.clear()
        while self._segments:
            os.close(self._segments.popleft().fd)
        self._bytes = 0

    def _segment_for(self, length: int) -> _Segment:
        """Where the next `length` bytes go."""
        last = self._segments[-1] if self._segments else None
        if last is not None and last.size + length <= self._segment_bytes:
            return last
        limit = min(self._limit, int(RING_SHARE * (self._free() + self._bytes)))
        while self._segments and self._bytes + max(length, self._segment_bytes) > limit:
            self.dropped += self._drop(self._segments[0])
        self._spare(self._bytes + max(length, self._segment_bytes) - self._easy)
        segment = _Segment(os.memfd_create("ogcast-ring"))
        self._segments.append(segment)
        return segment

    def _spare(self, count: int) -> None:
        """Let go of `count` bytes, if so many can be spared, the oldest first."""
        for segment in list(self._segments):
            if count <= 0:
                return
            if self.is_spare(segment.chunks):
                count -= segment.size
                self.spared += self._drop(segment)

    def _drop(self, segment: _Segment) -> int:
        self._segments.remove(segment)
        self._bytes -= segment.size
        for chunk in segment.chunks:
            self._places.pop(self._manifest.digest(ChunkIndex(chunk)), None)
        os.close(segment.fd)
        self.on_dropped(segment.chunks)
        return len(segment.chunks)
