"""Small images of random bytes, put into a repository."""

from __future__ import annotations

import random

from core.ids import ImageRef
from images.digest import digest_of
from images.extents import Extents
from images.manifest import FileSystem, encode_manifest
from images.repository import Repository, StoreWriter
from images.signing import SigningKey
from images.stores import Encoding

__all__ = ["CHUNK", "KEY", "publish", "store"]

CHUNK = 65536
KEY = SigningKey.generate()


def store(writer: StoreWriter, *, seed: int, chunks: int, name: str = "room1", version: int = 1) -> bytes:
    """Append the chunks of an image of random bytes; returns its unsigned manifest."""
    source = random.Random(seed)
    digests = []
    for _ in range(chunks):
        raw = source.randbytes(CHUNK)
        digests.append(digest_of(raw))
        writer.append(digests[-1], raw, encoding=Encoding.RAW, raw_length=CHUNK)
    return encode_manifest(
        name=name,
        version=version,
        created="2026-02-03T04:05:06Z",
        tool="test",
        source="raw",
        size=chunks * CHUNK,
        chunk_size=CHUNK,
        block_size=4096,
        sector_size=512,
        fs=FileSystem(),
        extents=Extents.all_data(chunks * CHUNK),
        digests=digests,
    )


def publish(repository: Repository, *, seed: int = 1, chunks: int = 4, name: str = "room1") -> ImageRef:
    with repository.writer() as writer:
        return repository.publish(store(writer, seed=seed, chunks=chunks, name=name), sign=KEY, writer=writer).ref
