"""Writer of a store: what one import, capture or cache update adds."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from core.errors import OgcastError, RepositoryError, RepositoryFullError
from core.ids import Digest
from images.digest import quick_check
from images.store.index import ChunkIndex, Place
from images.store.lock import LOCK_WAIT_S, shared_lock
from images.store.pack import RecordHeader
from images.store.pack_writer import PackWriter
from images.store.paths import RepositoryPaths
from images.stores import Encoding

__all__ = ["FLUSH_BYTES", "StoreWriter"]

FLUSH_BYTES = 256 * 1024 * 1024
"""Appended bytes after which they are made durable: what a killed capture has to send again at most."""
_FLUSH_CHUNKS = 16384
"""The same in chunks, so that rows waiting for their commit stay few."""


class StoreWriter:
    """Appends chunks to packs of its own, under the shared repository lock. A ChunkWriter; one thread at a time.

    Chunks are durable and visible to everybody after `flush` and after the `with` block, also when it ends by an
    error: whoever tries again finds them. Nothing refers to them before a manifest is published.
    """

    def __init__(self, paths: RepositoryPaths, *, purpose: str = "", wait_s: float = LOCK_WAIT_S) -> None:
        self._paths = paths
        self.purpose = purpose
        """What it is for, in words for messages."""
        self._pack: PackWriter | None = None
        self._pending: dict[Digest, Place] = {}
        self._pending_bytes = 0
        self._full = False
        self.bytes_new = 0
        """Stored bytes appended."""
        self.chunks_new = 0
        """Chunks appended."""
        self._closing = contextlib.ExitStack()
        with contextlib.ExitStack() as opening:
            opening.enter_context(shared_lock(paths.lock, wait_s=wait_s))
            self._index = opening.enter_context(contextlib.closing(ChunkIndex.open(paths.index)))
            self._closing = opening.pop_all()

    def contains(self, digests: Sequence[Digest]) -> list[bool]:
        """Which of `digests` the store or this writer holds, in order."""
        known = self._index.contains(digests)
        return [held or digest in self._pending for digest, held in zip(digests, known, strict=True)]

    def append(self, digest: Digest, stored: bytes | memoryview, *, encoding: Encoding, raw_length: int) -> None:
        """Store one chunk, unless it is held already. The buffer is free again when the call returns.

        The caller vouches that `stored` decodes to `digest`. Raises RepositoryFullError when the disk is full; the
        store is then as it was after the last flush.
        """
        if digest in self._pending or self._index.lookup(digest) is not None:
            return
        header = RecordHeader(
            digest=digest,
            encoding=encoding,
            stored_length=len(stored),
            raw_length=raw_length,
            check=quick_check(stored),
        )
        try:
            pack = self._pack_with_room(len(stored))
            offset = pack.append(header, stored)
        except RepositoryFullError:
            self._full = True
            raise
        self._pending[digest] = Place(pack.number, offset, len(stored), raw_length, encoding)
        self._pending_bytes += len(stored)
        self.bytes_new += len(stored)
        self.chunks_new += 1
        if self._pending_bytes >= FLUSH_BYTES or len(self._pending) >= _FLUSH_CHUNKS:
            self.flush()

    def flush(self) -> None:
        """Make everything appended durable, then visible: pack first, then index."""
        if self._pack is None or not self._pending:
            return
        try:
            self._pack.sync()
            self._index.add(self._pending.items())
            self._pack.keep()
        except RepositoryFullError:
            self._full = True
            raise
        self._pending.clear()
        self._pending_bytes = 0

    def close(self) -> None:
        """Flush and let go of the lock; repeatable."""
        with self._closing:
            try:
                self.flush()
            finally:
                self._drop_pack()

    def abandon(self) -> None:
        """Let go of the lock and give back the room of what was not flushed; repeatable."""
        with self._closing, contextlib.suppress(RepositoryError):
            self._pending.clear()
            self._drop_pack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        if not self._full:
            # The work is not lost for whoever tries again; the error that ends the block matters more than this one.
            with contextlib.suppress(OgcastError):
                self.flush()
        self.abandon()

    def _pack_with_room(self, stored_length: int) -> PackWriter:
        if self._pack is not None and not self._pack.has_room(stored_length):
            self.flush()
            self._drop_pack()
        if self._pack is None:
            self._pack = PackWriter(self._paths)
        return self._pack

    def _drop_pack(self) -> None:
        if self._pack is not None:
            pack, self._pack = self._pack, None
            pack.close()
