"""In-memory store: the reference that tests compare real stores with."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from core.errors import ChunkError
from core.ids import Digest
from images.stores import Encoding, StoredChunk

__all__ = ["MemoryStore"]


class MemoryStore:
    """ChunkReader and ChunkWriter over one anonymous memory file, so that `locate` gives a real descriptor."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("ogcast-chunks")
        self._places: dict[Digest, StoredChunk] = {}
        self._size = 0
        self._guard = threading.Lock()

    def locate(self, digest: Digest) -> StoredChunk:
        """Where a chunk lies; ChunkError if it is not held."""
        place = self._places.get(digest)
        if place is None:
            raise ChunkError(f"the store does not hold chunk {digest.hex()[:16]}…")
        return place

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """Which of `digests` are held, in order."""
        return [digest in self._places for digest in digests]

    def append(self, digest: Digest, stored: bytes | memoryview, *, encoding: Encoding, raw_length: int) -> None:
        """Store one chunk unless it is held."""
        with self._guard:
            if digest in self._places:
                return
            os.pwrite(self._fd, stored, self._size)
            self._places[digest] = StoredChunk(
                fd=self._fd, offset=self._size, length=len(stored), encoding=encoding, raw_length=raw_length
            )
            self._size += len(stored)

    def close(self) -> None:
        """Free the memory; repeatable."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
