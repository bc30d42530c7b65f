"""A CACHE as others are given it: each chunk is proven before it is sent for the first time.

A disk that lost a bit would otherwise have this machine banned from the swarm, as one that sends wrong chunks. What was
proven stays in the page cache for the sending.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from core.errors import ChunkError
from core.ids import Digest
from images import codec
from images.manifest import Manifest
from images.stores import ChunkReader, StoredChunk

__all__ = ["ProvenChunks"]


class ProvenChunks:
    """A ChunkReader of an image's chunks in a store, which must outlive it. Use on one thread."""

    def __init__(
        self, chunks: ChunkReader, manifest: Manifest, *, on_damaged: Callable[[Digest], None] = lambda digest: None
    ) -> None:
        """`on_damaged` is told of each chunk that is not what its digest says, once."""
        self._chunks = chunks
        self._content = memoryview(bytearray(manifest.chunk_size))
        self._on_damaged = on_damaged
        self._proven: set[Digest] = set()
        self._damaged: set[Digest] = set()

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """See ChunkReader. What is known to be damaged is not held."""
        held = self._chunks.contains(digests)
        return [there and digest not in self._damaged for digest, there in zip(digests, held, strict=True)]

    def locate(self, digest: Digest) -> StoredChunk:
        """See ChunkReader. The first time it reads, decodes and hashes the chunk: milliseconds."""
        if digest in self._damaged:
            raise ChunkError(f"chunk {digest.hex()[:16]}… is damaged here")
        place = self._chunks.locate(digest)
        if digest not in self._proven:
            self._prove(digest, place)
        return place

    def _prove(self, digest: Digest, place: StoredChunk) -> None:
        content = self._content[: place.raw_length]
        try:
            codec.decode_into(os.pread(place.fd, place.length, place.offset), place.encoding, content)
            codec.verify(content, digest)
        except (ChunkError, OSError) as error:
            self._damaged.add(digest)
            self._on_damaged(digest)
            raise ChunkError(f"chunk {digest.hex()[:16]}… is damaged here: {error}") from error
        self._proven.add(digest)
