"""A small image with its chunks in memory, for the conformance checks of transports."""

from __future__ import annotations

import random

from core.errors import ChunkError
from core.ids import ChunkIndex, Digest
from images.codec import encode
from images.digest import digest_of
from images.extents import Extents
from images.manifest import FileSystem, Manifest, encode_manifest, parse_manifest
from images.memstore import MemoryStore
from images.stores import Encoding, StoredChunk

__all__ = ["SampleStore", "sample_image"]

CHUNK_BYTES = 64 * 1024


class SampleStore(MemoryStore):
    """A MemoryStore that remembers what was appended and can lose a chunk."""

    def __init__(self) -> None:
        super().__init__()
        self.appended: list[Digest] = []
        self._lost: set[Digest] = set()

    def locate(self, digest: Digest) -> StoredChunk:
        """See ChunkReader."""
        if digest in self._lost:
            raise ChunkError(f"no chunk {digest.hex()[:16]}")
        return super().locate(digest)

    def append(self, digest: Digest, stored: bytes | memoryview, *, encoding: Encoding, raw_length: int) -> None:
        """See ChunkWriter."""
        super().append(digest, stored, encoding=encoding, raw_length=raw_length)
        self.appended.append(digest)

    def lose(self, digest: Digest) -> None:
        """From now on the chunk cannot be read."""
        self._lost.add(digest)


def sample_image(*, chunks: int = 40, seed: int = 1, tail: int = 777) -> tuple[Manifest, SampleStore, list[bytes]]:
    """An image of `chunks` chunks of 64 KiB, the last of `tail` bytes: some compress, some do not. Its manifest is not
    signed. Returns manifest, store and the raw chunks."""
    source = random.Random(seed)
    raws = [
        source.randbytes(CHUNK_BYTES) if source.random() < 0.5 else source.randbytes(64) * (CHUNK_BYTES // 64)
        for _ in range(chunks)
    ]
    if raws:
        raws[-1] = raws[-1][:tail]
    size = sum(map(len, raws))
    store = SampleStore()
    digests: list[Digest] = []
    for raw in raws:
        digest = digest_of(raw)
        encoding, stored = encode(raw, 1)
        store.append(digest, stored, encoding=encoding, raw_length=len(raw))
        digests.append(digest)
    manifest = parse_manifest(
        encode_manifest(
            name="sample",
            version=1,
            created="2024-01-01T00:00:00Z",
            tool="conformance",
            source="raw",
            size=size,
            chunk_size=CHUNK_BYTES,
            block_size=512,
            sector_size=512,
            fs=FileSystem(type="", label="", uuid=""),
            extents=Extents.all_data(size),
            digests=digests,
        )
    )
    assert [manifest.digest(ChunkIndex(n)) for n in range(chunks)] == digests
    return manifest, store, raws
