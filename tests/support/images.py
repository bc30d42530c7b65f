"""Images with DATA, ZERO and SKIP in any pattern, and what a target must hold after a restore of one."""

from __future__ import annotations

import random
from dataclasses import dataclass

from images.codec import encode
from images.digest import digest_of
from images.extents import Extents, Kind
from images.manifest import FileSystem, encode_manifest
from images.stores import ChunkWriter

__all__ = ["MadeImage", "make_image", "random_extents"]


@dataclass(frozen=True, slots=True)
class MadeImage:
    """An image and its content (ZERO and SKIP bytes are zero there)."""

    manifest: bytes
    """Unsigned."""
    content: bytes
    extents: Extents
    stored_bytes: int
    """Of all chunks."""
    distinct_bytes: int
    """Of distinct chunks: what a store takes."""

    def expected_on(self, before: bytes) -> bytes:
        """What a target that held `before` must hold after a restore: SKIP as it was."""
        after = bytearray(before)
        for extent in self.extents:
            if extent.kind is not Kind.SKIP:
                after[extent.start : extent.stop] = self.content[extent.start : extent.stop]
        return bytes(after)


def random_extents(rng: random.Random, size: int, *, unit: int = 4096, most_units: int = 64) -> Extents:
    """Runs of random kind and length that cover `size` bytes, each a multiple of `unit` but the last."""
    lengths: list[int] = []
    kinds: list[Kind] = []
    left = size
    while left:
        length = min(left, unit * rng.randint(1, most_units))
        kind = rng.choice([Kind.DATA, Kind.DATA, Kind.ZERO, Kind.SKIP])
        if kinds and kinds[-1] is kind:
            lengths[-1] += length
        else:
            lengths.append(length)
            kinds.append(kind)
        left -= length
    return Extents.from_lengths(lengths, kinds)


def make_image(
    writer: ChunkWriter,
    extents: Extents,
    *,
    seed: int = 1,
    chunk_size: int = 65536,
    name: str = "room1",
    version: int = 1,
    block_size: int = 4096,
) -> MadeImage:
    """Store an image of half-compressible content with these extents."""
    rng = random.Random(seed)
    content = bytearray(extents.size)
    for extent in extents:
        if extent.kind is Kind.DATA:
            half = extent.length // 2
            content[extent.start : extent.stop] = (
                rng.randbytes(extent.length - half) + bytes([rng.randrange(256)]) * half
            )
    digests = []
    stored_bytes = 0
    distinct: dict[bytes, int] = {}
    for slot in extents.slots_with_data(chunk_size).tolist():
        raw = bytes(content[slot * chunk_size : (slot + 1) * chunk_size])
        encoding, stored = encode(raw, 1)
        digests.append(digest_of(raw))
        stored_bytes += len(stored)
        distinct[digests[-1]] = len(stored)
        writer.append(digests[-1], stored, encoding=encoding, raw_length=len(raw))
    manifest = encode_manifest(
        name=name,
        version=version,
        created="2026-02-03T04:05:06Z",
        tool="test",
        source="raw",
        size=extents.size,
        chunk_size=chunk_size,
        block_size=block_size,
        sector_size=512,
        fs=FileSystem(),
        extents=extents,
        digests=digests,
    )
    return MadeImage(manifest, bytes(content), extents, stored_bytes, sum(distinct.values()))
