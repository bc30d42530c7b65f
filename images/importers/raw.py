"""Raw files and raw streams: every byte is content."""

from __future__ import annotations

import os

from images.extents import Extent, Extents, ExtentsBuilder, Kind
from images.importers.compression import PieceReader
from images.importers.input import Input
from images.importers.positioned import read_exactly
from images.importers.source import ImageSource
from images.manifest import FileSystem

__all__ = ["HOLES_MAX", "HOLE_BYTES_MIN", "RawFileSource", "RawStreamSource"]

HOLE_BYTES_MIN = 64 * 1024
"""Shorter holes are read; they cost less than the extent they would make."""
HOLES_MAX = 2**18
"""Holes noted; what follows the last of them is read."""


class RawFileSource(ImageSource):
    """A regular file. Holes read as zero, and so they must on the target: they are ZERO, never SKIP."""

    kind = "raw"
    ordered = False

    def __init__(self, source: Input) -> None:
        self._source = source
        self._fd = source.rewound()
        self.size: int = os.fstat(self._fd).st_size
        self.extents: Extents = _extents_of(self._fd, self.size)
        self.fs = FileSystem(type="", label="", uuid="")

    def read_data(self, extent: Extent, view: memoryview) -> int:
        return read_exactly(self._fd, extent.start, view, name=self._source.name, is_device=False)

    def close(self) -> None:
        self._source.close()


class RawStreamSource(ImageSource):
    """Raw bytes from a pipe or out of a compressed file; how many, only the end tells."""

    kind = "raw"
    ordered = True
    size = None
    extents = None

    def __init__(self, source: Input, stream: PieceReader) -> None:
        self._source = source
        self._stream = stream

    def read_data(self, extent: Extent, view: memoryview) -> int:
        return self._stream.readinto(view)

    def close(self) -> None:
        self._stream.close()
        self._source.close()


def _extents_of(fd: int, size: int) -> Extents:
    builder = ExtentsBuilder()
    at = holes = 0
    while at < size and holes < HOLES_MAX:
        try:
            hole = os.lseek(fd, at, os.SEEK_HOLE)
            data = os.lseek(fd, hole, os.SEEK_DATA) if hole < size else size
        except OSError as error:  # ENXIO: the rest is a hole; others: a file system without holes
            if error.errno != _ENXIO:
                break
            data = size
        if data - hole >= HOLE_BYTES_MIN:
            builder.add(hole - at, Kind.DATA)
            builder.add(min(data, size) - hole, Kind.ZERO)
            holes += 1
        else:
            builder.add(min(data, size) - at, Kind.DATA)
        at = min(data, size)
    builder.add(size - at, Kind.DATA)
    return builder.finish()


_ENXIO = 6
