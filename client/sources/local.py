"""The CACHE as a source: stored frames read from the local repository directory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from client.proto.brake import Brake
from core.arena import Arena, Slot
from core.errors import ChunkError, RepositoryTroubleError
from core.ids import ChunkIndex
from core.wantmap import WantMap
from images.manifest import Manifest
from images.stores import ChunkReader, Encoding
from transports.base import Delivery, Incoming

__all__ = ["LocalSource"]


class LocalSource:
    """Delivers the chunks a store holds. A chunk that is missing or rejected is left to the next source."""

    label = "cache"
    supply = Brake.CACHE

    def __init__(self, chunks: ChunkReader, *, on_damaged: Callable[[ChunkIndex], None] | None = None) -> None:
        self._chunks = chunks
        self._tell = on_damaged or (lambda chunk: None)
        self.damaged: set[int] = set()
        """Chunks it could not give; not tried again."""

    def _on_damaged(self, chunk: ChunkIndex) -> None:
        self.damaged.add(chunk)
        self._tell(chunk)

    @asynccontextmanager
    async def fetch(self, *, manifest: Manifest, want: WantMap, arena: Arena) -> AsyncIterator[Incoming]:
        """See Source."""
        todo = [ChunkIndex(chunk) for chunk in want if chunk not in self.damaged]
        yield _LocalIncoming(self._chunks, manifest, iter(todo), arena, self._on_damaged)


class _LocalIncoming:
    """Reads the next wanted chunk whenever a slot is free, each chunk once."""

    def __init__(
        self,
        chunks: ChunkReader,
        manifest: Manifest,
        todo: Iterator[ChunkIndex],
        arena: Arena,
        on_damaged: Callable[[ChunkIndex], None],
    ) -> None:
        self._chunks = chunks
        self._manifest = manifest
        self._arena = arena
        self._on_damaged = on_damaged
        self._todo = todo

    def __aiter__(self) -> _LocalIncoming:
        return self

    async def __anext__(self) -> Delivery:
        for chunk in self._todo:
            slot = await self._arena.acquire()
            try:
                encoding, length = await asyncio.to_thread(self._read, chunk, slot)
            except ChunkError:
                slot.release()
                self._on_damaged(chunk)
                continue
            return Delivery(
                chunk=chunk, encoding=encoding, frame=slot.view[:length], source="cache", release=slot.release
            )
        raise StopAsyncIteration

    def accept(self, delivery: Delivery) -> None:
        """Nothing to note."""

    def reject(self, delivery: Delivery, reason: str) -> None:
        """Have the chunk mended."""
        self._on_damaged(delivery.chunk)

    def _read(self, chunk: ChunkIndex, slot: Slot) -> tuple[Encoding, int]:
        try:
            place = self._chunks.locate(self._manifest.digest(chunk))
        except RepositoryTroubleError as error:  # whatever it is, the repository has the chunk
            raise ChunkError(f"chunk {chunk} cannot be read from the CACHE: {error.message}") from error
        if place.length > len(slot.view):
            raise ChunkError(f"chunk {chunk} takes {place.length} bytes in the CACHE, more than a chunk can")
        try:
            got = os.preadv(place.fd, [slot.view[: place.length]], place.offset)
        except OSError as error:
            raise ChunkError(f"chunk {chunk} cannot be read from the CACHE: {error.strerror}") from error
        if got != place.length:
            raise ChunkError(f"chunk {chunk} is cut short in the CACHE")
        return place.encoding, got
