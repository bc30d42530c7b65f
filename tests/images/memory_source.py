"""A source for tests: bytes and extents from memory, read in any order or only upwards."""

from __future__ import annotations

import threading

from core.errors import ImageFileError
from images.extents import Extent, Extents
from images.importers.source import ImageSource

__all__ = ["MemorySource"]


class MemorySource(ImageSource):
    """Gives `content`; `fails_at` makes the read of that byte an error."""

    kind = "raw"

    def __init__(
        self, content: bytes, extents: Extents | None = None, *, ordered: bool = False, fails_at: int | None = None
    ) -> None:
        self.content = content
        self.size = extents.size if extents is not None else None
        self.extents = extents
        self.ordered = ordered
        self.fails_at = fails_at
        self.finished = False
        self.threads: set[str] = set()
        self._last = -1

    def read_data(self, extent: Extent, view: memoryview) -> int:
        self.threads.add(threading.current_thread().name)
        if self.ordered:
            assert extent.start > self._last
            self._last = extent.start
        if self.fails_at is not None and extent.start <= self.fails_at < extent.stop:
            raise ImageFileError(f"byte {self.fails_at} cannot be read")
        piece = self.content[extent.start : extent.start + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    def finish(self) -> None:
        self.finished = True

    def close(self) -> None:
        pass
