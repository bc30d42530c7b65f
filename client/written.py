"""A file being restored, as a place where frames lie: what is stored as it is need not be kept in memory, too."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable

from client.proto.plan import RestorePlan
from client.sinks.file import FileSink
from core.ids import ChunkIndex
from images.stores import Encoding, StoredChunk

__all__ = ["FileFrames"]


class FileFrames:
    """A WrittenFrames: chunks without compression that are DATA from end to end. Nobody else writes to the file as long
    as its sink is open, and what was written lies in the page cache for a while.

    A block device is none: what is written to it directly leaves nothing in memory, and its disk has enough to do.
    """

    def __init__(self, sink: FileSink, plan: RestorePlan) -> None:
        """Make it on the session's loop; `close` it after the sink."""
        self._fd = sink.open_reader()
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self.on_written: Callable[[list[ChunkIndex]], None] = lambda chunks: None

    def add(self, chunks: Iterable[ChunkIndex]) -> None:
        """These were verified and written, on whatever thread."""
        self._loop.call_soon_threadsafe(self._tell, list(chunks))

    def place(self, chunk: ChunkIndex, encoding: Encoding, length: int) -> StoredChunk | None:
        """See WrittenFrames."""
        start, stop = self._plan.manifest.span(chunk)
        if encoding is not Encoding.RAW or length != stop - start or self._plan.data_runs(chunk) != [(start, length)]:
            return None
        return StoredChunk(fd=self._fd, offset=start, length=length, encoding=encoding, raw_length=length)

    def close(self) -> None:
        """Give the descriptor back; nothing can be read any more. Repeatable."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _tell(self, chunks: list[ChunkIndex]) -> None:
        self.on_written(chunks)
