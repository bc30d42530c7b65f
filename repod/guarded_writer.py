"""A chunk writer that can be taken away from the transport that uses it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from core.errors import CaptureError
from core.ids import Digest
from images.repository import Repository, StoreWriter
from images.stores import Encoding

__all__ = ["GuardedWriter"]


class GuardedWriter:
    """Serialises calls and refuses them once closed. Thread-safe; every method may block on the disk."""

    def __init__(self, repository: Repository, *, purpose: str) -> None:
        self._lock = threading.Lock()
        self._writer = repository.writer(purpose=purpose)
        self._writer.__enter__()
        self._closed = False

    @property
    def store(self) -> StoreWriter:
        """The writer itself, for publishing; use inside `with guarded:` only."""
        return self._writer

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """As ChunkWriter.contains. CaptureError once closed."""
        with self._lock:
            self._check()
            return self._writer.contains(digests)

    def append(self, digest: Digest, stored: bytes | memoryview, *, encoding: Encoding, raw_length: int) -> None:
        """As ChunkWriter.append. CaptureError once closed."""
        with self._lock:
            self._check()
            self._writer.append(digest, stored, encoding=encoding, raw_length=raw_length)

    def __enter__(self) -> GuardedWriter:
        """Keep the transport out for a moment. CaptureError once closed."""
        self._lock.acquire()
        try:
            self._check()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def close(self) -> None:
        """Flush what arrived and let go of the store; harmless when repeated."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._writer.__exit__(None, None, None)

    def _check(self) -> None:
        if self._closed:
            raise CaptureError("the capture is over", hint="start it again: what arrived is not sent twice")
