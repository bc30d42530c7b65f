"""What a store of chunks promises: a ladder of small interfaces (read, then write).

Both the repository (REPO) and a client's CACHE are `images.repository.Repository`; tests use an in-memory store.
Every implementation passes `tests/contract/stores.py`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

import msgspec

from core.ids import Digest

__all__ = ["ChunkReader", "ChunkWriter", "Encoding", "StoredChunk"]


class Encoding(enum.IntEnum):
    """How a chunk's bytes are stored and sent."""

    RAW = 0
    """As they are: compression did not shrink them."""
    ZSTD = 1
    """One zstd frame whose header states the content size."""


class StoredChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Where the stored bytes of one chunk lie, ready for `os.sendfile` or `os.pread`.

    `fd` belongs to the store and stays open at least until the store is closed or 64 further packs were opened;
    use it before awaiting anything long, or call `locate` again.
    """

    fd: int
    offset: int
    """Byte offset of the stored bytes in `fd`."""
    length: int
    """Stored length in bytes."""
    encoding: Encoding
    raw_length: int
    """Uncompressed length in bytes."""


class ChunkReader(Protocol):
    """Read side. Methods may block on the local disk for microseconds; they are thread-safe."""

    def locate(self, digest: Digest) -> StoredChunk:
        """Where a chunk lies. Raises ChunkError if the store does not hold it, RepositoryTroubleError if it cannot tell
        now."""

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """Which of `digests` the store holds, in order. At most 4096 digests a call."""


class ChunkWriter(Protocol):
    """Write side of one import, capture or cache update. One thread at a time."""

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """As ChunkReader.contains, including what this writer appended."""

    def append(self, digest: Digest, stored: bytes | memoryview, *, encoding: Encoding, raw_length: int) -> None:
        """Store one chunk. The buffer is consumed before the call returns. A digest already held is ignored.

        The caller vouches that `stored` decodes to `digest`. Raises RepositoryFullError when the disk is full.
        """
