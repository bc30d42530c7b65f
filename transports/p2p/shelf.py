"""Shelf: everything a peer can give of one image: the ring of what came last, and the CACHE where there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from core.ids import ChunkIndex, Digest
from images.manifest import Manifest
from images.stores import ChunkReader, Encoding, StoredChunk
from transports.member.proto.maps import pack_wants
from transports.p2p.ring import Ring

__all__ = ["Shelf"]

LOOK_UP_AT_ONCE = 4096


class Shelf:
    """The Holdings and the ChunkReader of a peer. Use on the session's loop."""

    def __init__(self, manifest: Manifest, *, cache: ChunkReader | None = None, ring: Ring | None = None) -> None:
        """`cache` is read, never written: what a session adds to it is found there once the ring lets go of it."""
        self.manifest = manifest
        self.ring = ring or Ring(manifest, on_dropped=self._handle_dropped)
        self._cache = cache
        self._held: NDArray[np.bool_] = np.zeros(manifest.chunk_count, dtype=np.bool_)
        self.on_news: Callable[[list[int]], None] = lambda chunks: None
        """Told what is held since."""
        self.on_gone: Callable[[list[int]], None] = lambda chunks: None
        """Told what is held no more."""

    @property
    def count(self) -> int:
        """Chunks held."""
        return int(self._held.sum())

    def look_up(self) -> None:
        """Find what the CACHE and the ring hold already. Blocks on the disk."""
        self._held[self.ring.chunks()] = True
        if self._cache is None:
            return
        for start in range(0, self.manifest.chunk_count, LOOK_UP_AT_ONCE):
            stop = min(start + LOOK_UP_AT_ONCE, self.manifest.chunk_count)
            digests = [self.manifest.digest(ChunkIndex(chunk)) for chunk in range(start, stop)]
            self._held[start:stop] |= np.array(self._cache.contains(digests), dtype=np.bool_)

    def add(self, chunk: ChunkIndex, frame: memoryview | bytes, encoding: Encoding) -> None:
        """A verified frame; it is copied."""
        self.ring.append(chunk, frame, encoding)
        if not self._held[chunk]:
            self._held[chunk] = True
            self.on_news([chunk])

    def close(self) -> None:
        """Free the memory."""
        self.ring.close()

    # ------------------------------------------------------------------ Holdings

    def holds(self, chunk: int) -> bool:
        """See Holdings."""
        return bool(self._held[chunk])

    def packed(self) -> bytes:
        """See Holdings."""
        return pack_wants(self._held)

    # ------------------------------------------------------------------ ChunkReader

    def locate(self, digest: Digest) -> StoredChunk:
        """See ChunkReader."""
        if self._cache is None or self.ring.contains([digest])[0]:
            return self.ring.locate(digest)
        return self._cache.locate(digest)

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """See ChunkReader."""
        inside = self.ring.contains(digests)
        if self._cache is None:
            return inside
        return [ring or cache for ring, cache in zip(inside, self._cache.contains(digests), strict=True)]

    def _handle_dropped(self, chunks: list[int]) -> None:
        """The ring let go of these; what the CACHE holds can still be given."""
        kept = [False] * len(chunks)
        if self._cache is not None:
            kept = self._cache.contains([self.manifest.digest(ChunkIndex(chunk)) for chunk in chunks])
        gone = [chunk for chunk, still in zip(chunks, kept, strict=True) if not still]
        if gone:
            self._held[gone] = False
            self.on_gone(gone)
