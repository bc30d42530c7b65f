"""Defaults of image making. The measurement behind them: docs/decisions (chunk size and level)."""

from __future__ import annotations

__all__ = [
    "CHUNK_SIZE_BY_IMAGE",
    "CHUNK_SIZE_DEFAULT",
    "CHUNK_SIZE_SMALL",
    "SMALL_IMAGE",
    "ZSTD_LEVEL_DEFAULT",
    "chunk_size_for",
]

CHUNK_SIZE_DEFAULT = 4 * 1024 * 1024
"""Bytes of a chunk where the image is not small, or its size is unknown; the largest get larger chunks."""
CHUNK_SIZE_BY_IMAGE = 0
"""In place of a chunk size: what the size of the image suggests."""
CHUNK_SIZE_SMALL = 1024 * 1024
"""Bytes of a chunk of a small image: a room waits for the first chunks of its members and for the last ones, which is
a fifth of the time when there are 64."""
SMALL_IMAGE = 512 * 1024 * 1024
"""An image of so many bytes is not small: 128 chunks are enough, and the work for each of them counts."""
ZSTD_LEVEL_DEFAULT = 3


def chunk_size_for(size: int | None) -> int:
    """Bytes of a chunk of an image of `size` bytes, of which nobody said how it is to be cut; None: not known yet.

    It follows the size of the partition, not its content, so that its versions share their chunks.
    """
    small = size is not None and size < SMALL_IMAGE
    return CHUNK_SIZE_SMALL if small else CHUNK_SIZE_DEFAULT
