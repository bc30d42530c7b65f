"""Extents: which bytes of an image are content, which must read as zero, and which do not matter.

An image's extents cover [0, size) without gap or overlap, and neighbours differ in kind. They are held as numpy arrays,
because the largest image has a million of them.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import ImageFileError, ManifestError

if TYPE_CHECKING:  # all others of NumPy's names of types would come with it: core/numpy_types.py
    from numpy.typing import ArrayLike

__all__ = [
    "EXTENT_RECORD_BYTES",
    "IMAGE_CHUNKS_MAX",
    "IMAGE_SIZE_MAX",
    "MAX_EXTENTS",
    "Extent",
    "Extents",
    "ExtentsBuilder",
    "Kind",
]

MAX_EXTENTS = 2**20
"""Extents of one image: 16 MiB of records, a few seconds of seeks on a disk that fragmented."""
_WALK_EXTENTS = 4096
"""Extents that exist as objects at a time while all of them are walked."""
EXTENT_RECORD_BYTES = 16
IMAGE_SIZE_MAX = 2**62 - 1
"""Bytes of the largest image: a length shares its u64 with two bits of kind."""
IMAGE_CHUNKS_MAX = 2**22
"""Chunks of one image: 160 MiB of chunk table, 64 TiB of content at the largest chunk size."""


class Kind(enum.IntEnum):
    """What the bytes of an extent are."""

    DATA = 0
    """Content from the source."""
    ZERO = 1
    """Must read as zero on the target."""
    SKIP = 2
    """Free space: content does not matter."""


class Extent(msgspec.Struct, frozen=True):
    """A run of bytes of one kind: [start, start + length)."""

    start: int
    length: int
    kind: Kind

    @property
    def stop(self) -> int:
        """First byte after the run."""
        return self.start + self.length


class Extents:
    """The extents of one image, in order. Immutable; safe to share between threads."""

    __slots__ = ("_kinds", "_lengths", "_starts", "size")

    size: int
    """Bytes covered: the image size."""

    def __init__(self, starts: ArrayLike, lengths: ArrayLike, kinds: ArrayLike) -> None:
        """Take three arrays of equal length (copied); raise ManifestError unless they cover [0, size) as they must."""
        self._starts = _frozen(starts)
        self._lengths = _frozen(lengths)
        self._kinds = np.array(kinds, dtype=np.uint8)
        self._kinds.flags.writeable = False
        self.size = _checked_size(self._starts, self._lengths, self._kinds)

    @classmethod
    def from_lengths(cls, lengths: ArrayLike, kinds: ArrayLike) -> Self:
        """Extents that follow each other from byte 0."""
        sizes = np.array(lengths, dtype=np.int64)
        return cls(np.cumsum(sizes) - sizes, sizes, kinds)

    @classmethod
    def all_data(cls, size: int) -> Self:
        """`size` bytes of content, as for a file system nobody knows."""
        return cls([0], [size], [Kind.DATA]) if size else cls([], [], [])

    @classmethod
    def from_bytes(cls, data: bytes | memoryview, count: int, size: int) -> Self:
        """Parse `count` records of docs/image-format.md 2; ManifestError if they do not cover exactly [0, size)."""
        if not 0 <= count <= MAX_EXTENTS:
            raise ManifestError(f"manifest with {count} extents (at most {MAX_EXTENTS} are allowed)")
        if len(data) != count * EXTENT_RECORD_BYTES:
            raise ManifestError(
                f"{len(data)} bytes of extents where {count} records need {count * EXTENT_RECORD_BYTES}"
            )
        records = np.frombuffer(data, dtype="<u8").reshape(count, 2)
        if count and int(records[:, 0].max()) > IMAGE_SIZE_MAX:
            raise ManifestError("extent starts beyond the largest image")
        extents = cls(records[:, 0].astype(np.int64), (records[:, 1] >> 2).astype(np.int64), records[:, 1] & 3)
        if extents.size != size:
            raise ManifestError(f"extents cover {extents.size} bytes of an image of {size}")
        return extents

    def to_bytes(self) -> bytes:
        """The records of docs/image-format.md 2, uncompressed."""
        records = np.empty((len(self), 2), dtype="<u8")
        records[:, 0] = self._starts
        records[:, 1] = (self._lengths << 2) | self._kinds
        return records.tobytes()

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Extent]:
        return self.walk(0, self.size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Extents):
            return NotImplemented
        return np.array_equal(self._lengths, other._lengths) and np.array_equal(self._kinds, other._kinds)

    def __hash__(self) -> int:
        return hash((self.size, len(self)))

    def __repr__(self) -> str:
        return f"<Extents {len(self)} runs, {self.size} bytes, {self.data_bytes} DATA>"

    @property
    def data_bytes(self) -> int:
        """Sum of the DATA lengths."""
        return self.bytes_of(Kind.DATA)

    def bytes_of(self, kind: Kind) -> int:
        """Sum of the lengths of one kind."""
        return int(self._lengths[self._kinds == kind].sum())

    @property
    def alignment(self) -> int:
        """Largest number that divides every start; 0, which every number divides, if there is no start but 0."""
        return int(np.gcd.reduce(self._starts)) if len(self) else 0

    def within(self, start: int, stop: int) -> list[Extent]:
        """The extents that touch [start, stop), clipped to it, in order. For short ranges; `walk` suits all."""
        return list(self.walk(start, stop))

    def walk(self, start: int, stop: int) -> Iterator[Extent]:
        """As `within`, some extents in memory at a time."""
        start, stop = max(start, 0), min(stop, self.size)
        if start >= stop:
            return
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left"))
        for at in range(first, last, _WALK_EXTENTS):
            for extent in self._slice(at, min(at + _WALK_EXTENTS, last)):
                if start <= extent.start and extent.stop <= stop:
                    yield extent
                else:
                    begin = max(extent.start, start)
                    yield Extent(begin, min(extent.stop, stop) - begin, extent.kind)

    def slots_with_data(self, chunk_size: int) -> NDArray[np.int64]:
        """Rising numbers of the slots that hold at least one DATA byte.

        Raises ManifestError beyond IMAGE_CHUNKS_MAX, before memory is taken for them.
        """
        is_data = self._kinds == Kind.DATA
        starts = self._starts[is_data]
        if not len(starts):
            return np.empty(0, dtype=np.int64)
        first = starts // chunk_size
        last = (starts + self._lengths[is_data] - 1) // chunk_size
        first[1:] = np.maximum(first[1:], last[:-1] + 1)  # a slot shared with the extent before is counted there
        counts = last - first + 1
        # Each count is below 2^47 and there are at most 2^20 of them, but their sum is bounded by the image anyway.
        total = int(counts.sum())
        if total > IMAGE_CHUNKS_MAX:
            raise ManifestError(
                f"image of {total} chunks (at most {IMAGE_CHUNKS_MAX} are allowed)", hint="use a larger chunk size"
            )
        steps = np.repeat(first - (np.cumsum(counts) - counts), counts)
        return steps + np.arange(total, dtype=np.int64)

    def _slice(self, first: int, last: int) -> list[Extent]:
        return [
            Extent(start, length, Kind(kind))
            for start, length, kind in zip(
                self._starts[first:last].tolist(),
                self._lengths[first:last].tolist(),
                self._kinds[first:last].tolist(),
                strict=True,
            )
        ]


class ExtentsBuilder:
    """Collects runs of bytes in order from byte 0, merges neighbours of one kind, and keeps to `max_extents`.

    Beyond the bound the smallest SKIP runs become DATA (then the smallest ZERO runs, when no SKIP is left): correct on
    every target, since the content of SKIP does not matter, and cheapest in bytes. A source that has no bytes for such
    a run gives zeros for it. `coalesced` counts the runs changed so.
    """

    def __init__(self, *, max_extents: int = MAX_EXTENTS) -> None:
        if not 1 <= max_extents <= MAX_EXTENTS:
            raise ValueError(f"max_extents must lie in 1 … {MAX_EXTENTS}")
        self._max = max_extents
        self._lengths = array("q")
        self._kinds = bytearray()
        self.size = 0
        """Bytes covered so far."""
        self.coalesced = 0
        """SKIP and ZERO runs that became DATA to keep to the bound."""

    def add(self, length: int, kind: Kind) -> None:
        """The next `length` bytes are of `kind`; nothing happens for 0."""
        if length == 0:
            return
        if length < 0 or length > IMAGE_SIZE_MAX - self.size:
            raise ImageFileError(f"run of {length} bytes at byte {self.size} of the source")
        self.size += length
        if self._kinds and self._kinds[-1] == kind:
            self._lengths[-1] += length
            return
        self._lengths.append(length)
        self._kinds.append(kind)
        if len(self._kinds) > 2 * self._max:  # twice, so that the work is shared by many calls
            self._shrink()

    def extend(self, lengths: ArrayLike, kinds: ArrayLike) -> None:
        """As `add` for each pair of two arrays."""
        for length, kind in zip(np.asarray(lengths).tolist(), np.asarray(kinds).tolist(), strict=True):
            self.add(length, kind)

    def finish(self) -> Extents:
        """The extents collected; the builder may go on collecting."""
        if len(self._kinds) > self._max:
            self._shrink()
        return Extents.from_lengths(np.frombuffer(bytes(self._lengths), dtype=np.int64), list(self._kinds))

    def _shrink(self) -> None:
        lengths = np.array(self._lengths, dtype=np.int64)
        kinds = np.frombuffer(bytes(self._kinds), dtype=np.uint8).copy()
        while len(kinds) > self._max:
            for filler in (Kind.SKIP, Kind.ZERO):
                places = np.flatnonzero(kinds == filler)
                if len(places):
                    break
            # One change removes at most two extents, so this never changes more than are needed.
            needed = (len(kinds) - self._max + 1) // 2
            smallest = places[np.argsort(lengths[places], kind="stable")[:needed]]
            kinds[smallest] = Kind.DATA
            self.coalesced += len(smallest)
            lengths, kinds = _merged(lengths, kinds)
        self._lengths = array("q", lengths.tobytes())
        self._kinds = bytearray(kinds.tobytes())


def _frozen(values: ArrayLike) -> NDArray[np.int64]:
    array = np.array(values, dtype=np.int64)
    array.flags.writeable = False
    return array


def _checked_size(starts: NDArray[np.int64], lengths: NDArray[np.int64], kinds: NDArray[np.uint8]) -> int:
    """The bytes covered, or ManifestError naming the first rule that is broken."""
    count = len(starts)
    if not count == len(lengths) == len(kinds):
        raise ManifestError("extent starts, lengths and kinds differ in number")
    if count > MAX_EXTENTS:
        raise ManifestError(f"{count} extents (at most {MAX_EXTENTS} are allowed)")
    if not count:
        return 0
    if int(kinds.max()) > max(Kind):
        raise ManifestError(f"extent of unknown kind {int(kinds.max())}")
    if int(lengths.min()) <= 0:
        raise ManifestError("extent without length")
    if int(starts.min()) < 0 or int(lengths.max()) > IMAGE_SIZE_MAX - int(starts.max()):
        raise ManifestError("extent beyond the largest image")
    stops = starts + lengths
    if starts[0] != 0:
        raise ManifestError(f"the first extent starts at {int(starts[0])}, not at 0")
    if bool((stops[:-1] > starts[1:]).any()):
        at = int(np.flatnonzero(stops[:-1] > starts[1:])[0])
        raise ManifestError(f"overlapping extents at byte {int(starts[at + 1])}")
    if bool((stops[:-1] < starts[1:]).any()):
        at = int(np.flatnonzero(stops[:-1] < starts[1:])[0])
        raise ManifestError(f"gap between extents at byte {int(stops[at])}")
    if bool((kinds[:-1] == kinds[1:]).any()):
        at = int(np.flatnonzero(kinds[:-1] == kinds[1:])[0])
        raise ManifestError(f"neighbouring extents of one kind at byte {int(stops[at])}")
    return int(stops[-1])


def _merged(lengths: NDArray[np.int64], kinds: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The same runs with neighbours of one kind joined."""
    heads = np.flatnonzero(np.concatenate(([True], kinds[1:] != kinds[:-1])))
    return np.add.reduceat(lengths, heads), kinds[heads]
