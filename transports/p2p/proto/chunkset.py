"""A set of chunks as one bit each: what a swarm of a thousand keeps of every member must be small."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["ChunkSet"]


class ChunkSet:
    """Chunk numbers in [0, count)."""

    __slots__ = ("_bits", "_size", "count")

    def __init__(self, flags: NDArray[np.bool_]) -> None:
        """One flag a chunk; copied."""
        self.count = len(flags)
        self._bits: NDArray[np.uint8] = np.packbits(flags, bitorder="little")
        self._size = int(np.count_nonzero(flags))

    def __len__(self) -> int:
        return self._size

    def __contains__(self, chunk: int) -> bool:
        return 0 <= chunk < self.count and bool(self._bits[chunk >> 3] >> (chunk & 7) & 1)

    def add(self, chunk: int) -> bool:
        """True if it is new."""
        if chunk in self or not 0 <= chunk < self.count:
            return False
        self._bits[chunk >> 3] |= 1 << (chunk & 7)
        self._size += 1
        return True

    def discard(self, chunk: int) -> bool:
        """True if it was there."""
        if chunk not in self:
            return False
        self._bits[chunk >> 3] &= 0xFF ^ (1 << (chunk & 7))
        self._size -= 1
        return True

    def flags(self, start: int = 0, stop: int | None = None) -> NDArray[np.bool_]:
        """The flags of the chunks from `start` to before `stop`; a copy."""
        stop = self.count if stop is None else min(stop, self.count)
        if start >= stop:
            return np.zeros(0, dtype=np.bool_)
        first = start >> 3
        bits = np.unpackbits(self._bits[first : (stop + 7) >> 3], bitorder="little")
        return bits[start - 8 * first : stop - 8 * first].astype(np.bool_)

    def lowest(self, start: int = 0) -> int:
        """The lowest chunk of the set from `start` on; `count` if there is none."""
        byte = start >> 3
        if start & 7 and byte < len(self._bits) and (rest := int(self._bits[byte]) >> (start & 7)):
            return start + (rest & -rest).bit_length() - 1
        byte += bool(start & 7)
        step = 4096
        while byte < len(self._bits):
            hits = np.flatnonzero(self._bits[byte : byte + step])
            if len(hits):
                byte += int(hits[0])
                bits = int(self._bits[byte])
                return 8 * byte + (bits & -bits).bit_length() - 1
            byte += step
        return self.count

    @classmethod
    def of(cls, count: int, chunks: Iterable[int] = ()) -> ChunkSet:
        """A set with these in it."""
        found = cls(np.zeros(count, dtype=np.bool_))
        for chunk in chunks:
            found.add(chunk)
        return found
