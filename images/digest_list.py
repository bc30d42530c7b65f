"""Long lists of digests in little memory: 32 bytes each, where a list of objects takes three times as much."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from core.ids import Digest
from images.digest import DIGEST_BYTES

__all__ = ["DigestList", "first_of_each"]


class DigestList(Sequence[Digest]):
    """Digests that lie in one buffer, `step` bytes apart from byte `first` on; without a buffer, one that grows.

    Equal to any sequence of the same digests.
    """

    __slots__ = ("_bytes", "_count", "_first", "_step")

    def __init__(
        self, data: bytes | bytearray | None = None, *, first: int = 0, step: int = DIGEST_BYTES, count: int = 0
    ) -> None:
        self._bytes = bytearray() if data is None else data
        self._first = first
        self._step = step
        self._count = count

    def append(self, digest: Digest) -> None:
        """Add one at the end of a list without a buffer of somebody else's."""
        if not isinstance(self._bytes, bytearray):
            raise TypeError("a view of digests does not grow")
        self._bytes += digest
        self._count += 1

    def extend(self, digests: Iterable[Digest]) -> None:
        """Add some at the end."""
        for digest in digests:
            self.append(digest)

    def as_array(self) -> NDArray[np.void]:
        """The digests of a list that grew, as records; it must not grow while the array is there."""
        return np.frombuffer(self._bytes, dtype=f"V{DIGEST_BYTES}", count=self._count)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Digest: ...
    @overload
    def __getitem__(self, index: slice) -> list[Digest]: ...
    def __getitem__(self, index: int | slice) -> Digest | list[Digest]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self._count))]
        at = self._first + range(self._count)[index] * self._step
        return Digest(bytes(self._bytes[at : at + DIGEST_BYTES]))

    def __iter__(self) -> Iterator[Digest]:
        for at in range(self._first, self._first + self._count * self._step, self._step):
            yield Digest(bytes(self._bytes[at : at + DIGEST_BYTES]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(other) == self._count and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it may grow


def first_of_each(digests: NDArray[np.void]) -> NDArray[np.int64]:
    """Rising positions in an array of 32-byte records that hold a digest no earlier position holds."""
    if not len(digests):
        return np.empty(0, dtype=np.int64)
    words = np.ascontiguousarray(digests).view("<u8").reshape(-1, DIGEST_BYTES // 8)
    order = np.lexsort(words.T)  # stable: of equal digests the first position comes first
    fresh = np.zeros(len(order), dtype=np.bool_)
    fresh[0] = True
    for column in words.T:  # one at a time: the whole sorted would be another copy
        ordered = column[order]
        fresh[1:] |= ordered[1:] != ordered[:-1]
    return np.sort(order[fresh])
