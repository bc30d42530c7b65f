"""What a session fills: a partition or file (raw bytes through a sink), or the CACHE (stored frames into a store)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from client.journal import Journal
from client.proto.plan import RestorePlan
from client.proto.write_order import coalesce
from client.sinks.base import Sink
from client.writer import Verified
from core.ids import ChunkIndex
from images.manifest import Manifest
from images.stores import ChunkWriter

__all__ = ["FLUSH_BYTES", "CacheTarget", "CacheWriter", "PartitionTarget", "Target"]


FLUSH_BYTES = 64 << 20
"""What a killed update of the CACHE loses at most."""


class CacheWriter(ChunkWriter, Protocol):
    """What the CACHE's store gives for writing."""

    def flush(self) -> None:
        """Make what was appended durable and findable."""


class Target(Protocol):
    """Where verified chunks end up. `write` is called on the writer thread, one batch at a time."""

    @property
    def keeps_frames(self) -> bool:
        """Whether `write` uses the stored bytes (`frame`) rather than the content (`raw`)."""

    @property
    def bytes_written(self) -> int:
        """Bytes written so far."""

    def write(self, batch: Sequence[Verified]) -> None:
        """Write neighbouring chunks in order; nothing of the views may be kept."""


class PartitionTarget:
    """Only DATA runs are written; what is adjacent becomes one write. Written chunks enter the journal.

    Nothing is touched before the first chunk is verified, so that a repository that refuses leaves the target alone.
    """

    keeps_frames = False

    def __init__(self, sink: Sink, plan: RestorePlan, journal: Journal, *, discard: bool = False) -> None:
        self._sink = sink
        self._plan = plan
        self._journal = journal
        self._discard = discard
        self.begun = False
        """Whether the target was changed."""
        self.discard_refused = False
        """Whether the device cannot discard."""
        self.bytes_written = 0
        self.on_written: Callable[[Sequence[ChunkIndex]], None] = lambda chunks: None
        """Told, on the writing thread, which chunks are on the target."""

    def begin(self) -> None:
        """Give free space back if asked, then make ZERO zero; once. Blocks.

        Discarding comes first, because writes that follow it find their blocks free. A resumed restore does both
        again: they touch no DATA, and repeating them is harmless.
        """
        if self.begun:
            return
        self.begun = True
        self._sink.prepare()
        if self._discard:
            self.discard_refused = not all(self._sink.discard(start, stop) for start, stop in self._plan.skip_ranges())
        for start, stop in self._plan.zero_ranges():
            self._sink.zero(start, stop)

    def write(self, batch: Sequence[Verified]) -> None:
        """Write the DATA of `batch`, then note the chunks as written."""
        self.begin()
        for offset, buffers in coalesce(self._runs(batch)):
            self._sink.write(offset, buffers)
            self.bytes_written += sum(len(buffer) for buffer in buffers)
        self._journal.add(item.chunk for item in batch)
        self.on_written([item.chunk for item in batch])

    def _runs(self, batch: Sequence[Verified]) -> Iterator[tuple[int, int, memoryview]]:
        for item in batch:
            start, _ = self._plan.manifest.span(item.chunk)
            for offset, length in self._plan.data_runs(item.chunk):
                yield offset, length, item.raw[offset - start : offset - start + length]


class CacheTarget:
    """Stored frames go into the CACHE as they came; they were proven by decoding."""

    keeps_frames = True

    def __init__(self, writer: CacheWriter, manifest: Manifest) -> None:
        self._writer = writer
        self._manifest = manifest
        self._unflushed = 0
        self.bytes_written = 0

    def write(self, batch: Sequence[Verified]) -> None:
        """Append the frames of `batch`."""
        for item in batch:
            self._writer.append(
                self._manifest.digest(item.chunk), item.frame, encoding=item.encoding, raw_length=len(item.raw)
            )
            self.bytes_written += len(item.frame)
            self._unflushed += len(item.frame)
        if self._unflushed >= FLUSH_BYTES:
            self._unflushed = 0
            self._writer.flush()
