"""Lent: frames that lie on the target as they came, a bounded number of bytes of them, the oldest let go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from core.errors import ChunkError
from core.ids import ChunkIndex, Digest
from images.manifest import Manifest
from images.stores import StoredChunk

__all__ = ["LENT_BYTES_MAX", "Lent"]

LENT_BYTES_MAX = 1 << 30
"""What was written before so much else is likely to be on the disk only, which is busy with writing."""


class Lent:
    """A ChunkReader of what was added and not let go of yet. Use on one thread."""

    def __init__(
        self,
        manifest: Manifest,
        *,
        limit_bytes: int = LENT_BYTES_MAX,
        on_dropped: Callable[[list[int]], None] = lambda chunks: None,
    ) -> None:
        self._manifest = manifest
        self._limit = limit_bytes
        self._places: OrderedDict[Digest, tuple[ChunkIndex, StoredChunk]] = OrderedDict()
        self._bytes = 0
        self.on_dropped = on_dropped
        """Told which chunks are held no more."""

    def add(self, chunk: ChunkIndex, place: StoredChunk) -> None:
        """From now on the frame can be read there."""
        digest = self._manifest.digest(chunk)
        if digest in self._places:
            return
        self._places[digest] = (chunk, place)
        self._bytes += place.length
        gone: list[int] = []
        while self._bytes > self._limit:
            _, (oldest, where) = self._places.popitem(last=False)
            self._bytes -= where.length
            gone.append(oldest)
        if gone:
            self.on_dropped(gone)

    def locate(self, digest: Digest) -> StoredChunk:
        """Where a frame lies; ChunkError if it is not held (any more)."""
        try:
            return self._places[digest][1]
        except KeyError:
            raise ChunkError(f"chunk {digest.hex()[:16]}… is not known to be on the target") from None

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._places

    def clear(self) -> None:
        """Nothing can be read there any more; nobody is told."""
        self._places.clear()
        self._bytes = 0
