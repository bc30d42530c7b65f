"""Shelf: everything a peer can give of one image: the ring of what came last, the CACHE where there is one, and what
lies on the target as it was stored."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import OgcastError
from core.ids import ChunkIndex, Digest
from images.manifest import Manifest
from images.stores import ChunkReader, Encoding, StoredChunk
from transports.member.proto.maps import pack_wants
from transports.p2p.lent import Lent
from transports.p2p.ring import RING_BYTES_MAX, Ring
from transports.written import WrittenFrames

__all__ = ["RECHECK_EVERY_S", "RING_BESIDE_CACHE_BYTES", "Shelf"]

LOOK_UP_AT_ONCE = 4096
RECHECK_AT_ONCE = 256
RECHECK_EVERY_S = 1.0
RING_BESIDE_CACHE_BYTES = 256 << 20
"""Memory beside a CACHE: more than a CACHE has verified and not yet on disk (64 MiB, and the writer's queue)."""


class Shelf:
    """The Holdings and the ChunkReader of a peer. Use on the session's loop.

    A CACHE that cannot be read (any more) costs what it held, and nothing else.
    """

    def __init__(self, manifest: Manifest, *, cache: ChunkReader | None = None, ring: Ring | None = None) -> None:
        """`cache` is read, never written: what a session adds to it is found there once the ring lets go of it.

        `ring` is the shelf's own from now on.
        """
        self.manifest = manifest
        limit = RING_BYTES_MAX if cache is None else RING_BESIDE_CACHE_BYTES
        self.ring = ring if ring is not None else Ring(manifest, limit_bytes=limit)
        self.ring.on_dropped = self._handle_dropped
        self.lent = Lent(manifest, on_dropped=self._handle_dropped)
        self._written: WrittenFrames | None = None
        self._to_come: dict[int, StoredChunk] = {}
        self._cache = cache
        self._held: NDArray[np.bool_] = np.zeros(manifest.chunk_count, dtype=np.bool_)
        self._awaited: deque[int] = deque()
        self._named: dict[Digest, list[int]] | None = None
        self.lost = 0
        """Chunks that turned out not to be held any more."""
        self.on_news: Callable[[list[int]], None] = lambda chunks: None
        """Told what is held since."""
        self.on_gone: Callable[[list[int]], None] = lambda chunks: None
        """Told what is held no more; may be called by `add` and `locate`."""

    @property
    def count(self) -> int:
        """Chunks held."""
        return int(self._held.sum())

    def look_up(self) -> None:
        """Find what the CACHE and the ring hold already. Blocks on the disk."""
        for start in range(0, self.manifest.chunk_count, LOOK_UP_AT_ONCE):
            chunks = range(start, min(start + LOOK_UP_AT_ONCE, self.manifest.chunk_count))
            in_ring = self.ring.contains([self.manifest.digest(ChunkIndex(chunk)) for chunk in chunks])
            self._held[start : chunks.stop] |= np.array(in_ring, dtype=np.bool_)
            self._held[start : chunks.stop] |= np.array(self._in_cache(chunks), dtype=np.bool_)

    def recheck(self) -> list[int]:
        """Look again for what the ring let go of before the CACHE had it on disk, and return what is held again.

        Once a second is enough.
        """
        some = [self._awaited.popleft() for _ in range(min(len(self._awaited), RECHECK_AT_ONCE))]
        news: list[int] = []
        for chunk, there in zip(some, self._in_cache(some), strict=True):
            if not there:
                self._awaited.append(chunk)
            elif not self._held[chunk]:
                news.append(chunk)
        if news:
            self._held[news] = True
            self.on_news(news)
        return news

    def use(self, written: WrittenFrames) -> None:
        """Give from there what lies there, instead of keeping it in memory."""
        self._written = written
        written.on_written = self._handle_written

    def add(self, chunk: ChunkIndex, frame: memoryview | bytes, encoding: Encoding) -> None:
        """A verified frame; it is copied, or held as soon as it is written."""
        place = None if self._written is None else self._written.place(chunk, encoding, len(frame))
        if place is not None:
            self._to_come[chunk] = place
        else:
            self.ring.append(chunk, frame, encoding)
            self._note_held(chunk)

    def close(self) -> None:
        """Free the memory."""
        self.ring.close()
        self.lent.clear()

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
        try:
            if digest in self.lent:
                return self.lent.locate(digest)
            if self._cache is None or self.ring.contains([digest])[0]:
                return self.ring.locate(digest)
            return self._cache.locate(digest)
        except OgcastError:
            self._let_go(digest)
            raise

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """See ChunkReader."""
        in_ring = self.ring.contains(digests)
        inside = [there or digest in self.lent for digest, there in zip(digests, in_ring, strict=True)]
        if self._cache is None:
            return inside
        return [ring or cache for ring, cache in zip(inside, self._cache.contains(digests), strict=True)]

    # ------------------------------------------------------------------ inside

    def _note_held(self, chunk: int) -> None:
        if not self._held[chunk]:
            self._held[chunk] = True
            self.on_news([chunk])

    def _handle_written(self, chunks: list[ChunkIndex]) -> None:
        for chunk in chunks:
            if (place := self._to_come.pop(chunk, None)) is not None:
                self.lent.add(chunk, place)
                self._note_held(chunk)

    def _in_cache(self, chunks: Sequence[int]) -> list[bool]:
        if self._cache is None or not chunks:
            return [False] * len(chunks)
        try:
            return self._cache.contains([self.manifest.digest(ChunkIndex(chunk)) for chunk in chunks])
        except OgcastError:
            return [False] * len(chunks)

    def _handle_dropped(self, chunks: list[int]) -> None:
        """The ring let go of these, or the target, and of all that are the same; what the CACHE holds can still be
        given."""
        same = {other for chunk in chunks for other in self._named_by(self.manifest.digest(ChunkIndex(chunk)))}
        chunks = sorted(chunk for chunk in same if self._held[chunk])
        gone = [chunk for chunk, still in zip(chunks, self._in_cache(chunks), strict=True) if not still]
        if gone:
            self._held[gone] = False
            if self._cache is not None:
                self._awaited.extend(gone)
            self.on_gone(gone)

    def _let_go(self, digest: Digest) -> None:
        """What was held turned out not to be there."""
        gone = [chunk for chunk in self._named_by(digest) if self._held[chunk]]
        if gone:
            self._held[gone] = False
            self.lost += len(gone)
            self.on_gone(gone)

    def _named_by(self, digest: Digest) -> Sequence[int]:
        """Every chunk of the image that has this digest."""
        if self._named is None:
            self._named = {}
            for chunk in range(self.manifest.chunk_count):
                self._named.setdefault(self.manifest.digest(ChunkIndex(chunk)), []).append(chunk)
        return self._named.get(digest, ())
