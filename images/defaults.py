"""Defaults of image making. The measurement behind them: docs/decisions (chunk size and level)."""

from __future__ import annotations

__all__ = [
    "CHUNK_SIZE_BY_IMAGE",
    "CHUNK_SIZE_DEFAULT",
    "SMALLER_CHUNKS",
    "ZSTD_LEVEL_DEFAULT",
    "chunk_size_for",
]

CHUNK_SIZE_DEFAULT = 4 * 1024 * 1024
"""Bytes of a chunk where the image is not small, or its size is unknown; the largest get larger chunks."""
SMALLER_CHUNKS = ((512 << 20, 1 << 20), (2 << 30, 2 << 20))
"""Images of fewer bytes than the first number get chunks of the second, so that one has 256 or more: a room waits for
the first chunks of its members and for the last ones, which is a fifth of the time when there are 64, and a crowd of a
thousand for some twenty of them. Where there are more than enough, the work for each of them counts."""
CHUNK_SIZE_BY_IMAGE = 0
"""In place of a chunk size: what the size of the image suggests."""
ZSTD_LEVEL_DEFAULT = 3


def chunk_size_for(size: int | None) -> int:
    """Bytes of a chunk of an image of `size` bytes, of which nobody said how it is to be cut; None: not known yet.

    It follows the size of the partition, not its content, so that its versions share their chunks.
    """
    if size is not None:
        for below, chunk_size in SMALLER_CHUNKS:
            if size < below:
                return chunk_size
    return CHUNK_SIZE_DEFAULT
