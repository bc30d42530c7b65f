"""Defaults of image making. The measurement behind them: docs/decisions (chunk size and level)."""

from __future__ import annotations

__all__ = [
    "CHUNKS_LEAST",
    "CHUNK_SIZE_BY_IMAGE",
    "CHUNK_SIZE_DEFAULT",
    "CHUNK_SIZE_LEAST",
    "ZSTD_LEVEL_DEFAULT",
    "chunk_size_for",
]

CHUNK_SIZE_DEFAULT = 4 * 1024 * 1024
"""Bytes of a chunk where the image has 512 MiB and more, or its size is unknown; the largest get larger chunks."""
CHUNK_SIZE_BY_IMAGE = 0
"""In place of a chunk size: what the size of the image suggests."""
CHUNKS_LEAST = 128
"""Slots an image should have: with fewer, a room waits for the first chunks of its members and for the last ones."""
CHUNK_SIZE_LEAST = 1024 * 1024
"""No image gets smaller chunks by itself: from here on the work for each of them costs more than it gains."""
ZSTD_LEVEL_DEFAULT = 3


def chunk_size_for(size: int | None) -> int:
    """Bytes of a chunk of an image of `size` bytes, of which nobody said how it is to be cut; None: not known yet.

    It follows the size of the partition, not its content, so that its versions share their chunks.
    """
    chosen = CHUNK_SIZE_DEFAULT
    while size is not None and chosen > CHUNK_SIZE_LEAST and size < CHUNKS_LEAST * chosen:
        chosen //= 2
    return chosen
