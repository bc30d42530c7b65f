"""Export as a version 2 partclone image, for partclone.restore and OpenGnsys."""

from __future__ import annotations

from collections.abc import Iterator

from images.exporters.feed import ProgressCall, slots_of
from images.exporters.output import open_output
from images.importers.fs_detect import PARTCLONE_FS_NAMES
from images.manifest import Manifest
from images.partclone.writer import PartcloneWriter, export_block_size
from images.stores import ChunkReader

__all__ = ["export_partclone"]

_UNKNOWN_FS = "raw"


def export_partclone(
    manifest: Manifest,
    chunks: ChunkReader,
    target: str,
    *,
    workers: int | None = None,
    progress: ProgressCall | None = None,
) -> None:
    """Write the image to a file or `-`, uncompressed. Blocks that hold DATA or ZERO bytes are used blocks.

    Raises UsageError for a size that is no whole number of sectors, ChunkError for a damaged chunk; a file then does
    not appear.
    """
    block_size = export_block_size(manifest.size, manifest.block_size)
    writer = PartcloneWriter(
        manifest.extents, fs=PARTCLONE_FS_NAMES.get(manifest.fs.type, _UNKNOWN_FS), block_size=block_size
    )
    with open_output(target) as output, slots_of(manifest, chunks, workers=workers, progress=progress) as slots:
        for piece in writer.head():
            output.write(piece)
        used = _Used(writer.used_runs(), block_size)
        zeros = bytes(manifest.chunk_size)
        for slot in slots:
            content = slot.content if slot.content is not None else memoryview(zeros)
            for start, stop in used.within(slot.start, slot.start + slot.length):
                for part in writer.data(content[start - slot.start : stop - slot.start]):
                    output.write(part)
        output.write(writer.tail())


class _Used:
    """Used byte ranges, clipped to slots that are asked for in order."""

    def __init__(self, runs: Iterator[tuple[int, int]], block_size: int) -> None:
        self._runs = ((first * block_size, (first + blocks) * block_size) for first, blocks in runs)
        self._run = next(self._runs, None)

    def within(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        while self._run is not None and self._run[0] < stop:
            yield max(self._run[0], start), min(self._run[1], stop)
            if self._run[1] > stop:
                return
            self._run = next(self._runs, None)
