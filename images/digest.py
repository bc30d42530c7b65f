"""Chunk identity (BLAKE3) and the quick check of stored bytes (XXH3)."""

from __future__ import annotations

from blake3 import blake3
from xxhash import xxh3_64_intdigest

from core.ids import Digest

__all__ = ["DIGEST_BYTES", "digest_of", "quick_check"]

DIGEST_BYTES = 32


def digest_of(buffer: bytes | bytearray | memoryview) -> Digest:
    """BLAKE3-256 of `buffer`. Releases the GIL on chunk-sized buffers."""
    return Digest(blake3(buffer).digest())


def quick_check(buffer: bytes | bytearray | memoryview) -> int:
    """XXH3-64 (seed 0) of `buffer`: finds accidents, proves nothing."""
    return xxh3_64_intdigest(buffer)
