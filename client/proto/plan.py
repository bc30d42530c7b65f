"""Restore plan: what of an image is written, zeroed, discarded and compared on a target."""

from __future__ import annotations

import random
from collections.abc import Iterator

from core.ids import ChunkIndex
from core.wantmap import WantMap
from images.extents import Kind
from images.manifest import Manifest

__all__ = ["RestorePlan"]


class RestorePlan:
    """The manifest as work on a target. Holds no state but the manifest."""

    __slots__ = ("manifest",)

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def want(self, have: set[int] | frozenset[int] = frozenset()) -> WantMap:
        """Every chunk but those of `have`."""
        wanted = WantMap(self.manifest.chunk_count)
        wanted.discard_all(have)
        return wanted

    def data_runs(self, chunk: int) -> list[tuple[int, int]]:
        """`(offset on the target, length)` of the DATA of a chunk, in order."""
        return self._runs(chunk, Kind.DATA)

    def free_runs(self, chunk: int) -> list[tuple[int, int]]:
        """`(offset on the target, length)` of the SKIP of a chunk: what a digest takes as zero, whatever is there."""
        return self._runs(chunk, Kind.SKIP)

    def zero_ranges(self) -> Iterator[tuple[int, int]]:
        """`(start, stop)` of every ZERO extent of the image."""
        return self._ranges(Kind.ZERO)

    def skip_ranges(self) -> Iterator[tuple[int, int]]:
        """`(start, stop)` of every SKIP extent of the image."""
        return self._ranges(Kind.SKIP)

    def sample(self, most: int, rng: random.Random) -> list[ChunkIndex]:
        """Up to `most` chunks in order: the first, the last, and others at random."""
        count = self.manifest.chunk_count
        if count <= most:
            return [ChunkIndex(chunk) for chunk in range(count)]
        picked = {0, count - 1, *rng.sample(range(count), most - 2)}
        return [ChunkIndex(chunk) for chunk in sorted(picked)]

    def _runs(self, chunk: int, kind: Kind) -> list[tuple[int, int]]:
        start, stop = self.manifest.span(ChunkIndex(chunk))
        return [
            (extent.start, extent.length) for extent in self.manifest.extents.within(start, stop) if extent.kind == kind
        ]

    def _ranges(self, kind: Kind) -> Iterator[tuple[int, int]]:
        for extent in self.manifest.extents:
            if extent.kind == kind:
                yield extent.start, extent.start + extent.length
