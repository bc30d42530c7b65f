"""Which members lack which chunks, and how many lack each: the server's view of all want-maps of a cast.

One bit a chunk and member place, and a count a chunk; both only change by join, leave, sending, and asking again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.limits import MAX_MEMBERS

__all__ = ["NEARLY_CHUNKS", "Demand"]

NEARLY_CHUNKS = 4
"""A member that waits for so few chunks is nearly done."""


class Demand:
    """Wants of up to MAX_MEMBERS members over `chunks` chunks."""

    def __init__(self, chunks: int) -> None:
        self.counts: NDArray[np.int32] = np.zeros(chunks, dtype=np.int32)
        """How many members lack each chunk and have not had it sent since they said so; read only."""
        self.chunks_wanted = 0
        """Chunks somebody lacks."""
        self._bits = np.zeros((1, chunks), dtype=np.uint8)
        self._waits: NDArray[np.int32] = np.zeros(8, dtype=np.int32)
        """Chunks the member at each place waits for."""

    def add(self, place: int, wanted: NDArray[np.bool_]) -> None:
        """The member at `place` lacks these chunks (and no others)."""
        if not 0 <= place < MAX_MEMBERS:
            raise ValueError(f"no member place {place}")
        self.remove(place)
        while place >> 3 >= len(self._bits):
            self._bits = np.concatenate([self._bits, np.zeros_like(self._bits)])
            self._waits = np.concatenate([self._waits, np.zeros_like(self._waits)])
        self._bits[place >> 3] |= wanted.astype(np.uint8) << (place & 7)
        self._waits[place] = np.count_nonzero(wanted)
        self.counts += wanted
        self.chunks_wanted = int(np.count_nonzero(self.counts))

    def remove(self, place: int) -> None:
        """The member at `place` lacks nothing any more, or left."""
        if place >> 3 >= len(self._bits):
            return
        bit = np.uint8(1 << (place & 7))
        row = self._bits[place >> 3]
        self.counts -= (row & bit) != 0
        row &= ~bit
        self._waits[place] = 0
        self.chunks_wanted = int(np.count_nonzero(self.counts))

    def ask(self, place: int, chunk: int) -> bool:
        """The member at `place` lacks the whole of `chunk`, again or still; False if that was known."""
        bit = np.uint8(1 << (place & 7))
        if self._bits[place >> 3, chunk] & bit:
            return False
        self._bits[place >> 3, chunk] |= bit
        self._waits[place] += 1
        self.chunks_wanted += not self.counts[chunk]
        self.counts[chunk] += 1
        return True

    def ask_all(self, place: int, chunks: NDArray[np.bool_]) -> None:
        """The same for all of `chunks`, one flag each."""
        if place >> 3 < len(self._bits):
            chunks = chunks | (self._bits[place >> 3] & np.uint8(1 << (place & 7)) != 0)
        self.add(place, chunks)

    def wants(self, place: int, chunk: int) -> bool:
        """Whether the member at `place` waits for the whole of `chunk`."""
        return bool(self._bits[place >> 3, chunk] >> (place & 7) & 1)

    def places(self, chunk: int) -> list[int]:
        """Members that wait for the whole of `chunk`."""
        return [int(place) for place in np.flatnonzero(np.unpackbits(self._bits[:, chunk], bitorder="little"))]

    def is_near(self, place: int) -> bool:
        """Whether the member at `place` is nearly done, or done."""
        return int(self._waits[place]) <= NEARLY_CHUNKS

    def withdraw(self, place: int, chunk: int) -> None:
        """The member at `place` gets `chunk` without waiting for it to be chosen."""
        if self.wants(place, chunk):
            self._bits[place >> 3, chunk] &= ~np.uint8(1 << (place & 7))
            self._waits[place] -= 1
            self.counts[chunk] -= 1
            self.chunks_wanted -= not self.counts[chunk]

    def withdraw_all(self, place: int, chunks: NDArray[np.bool_]) -> None:
        """The same for all of `chunks`, one flag each."""
        if place >> 3 >= len(self._bits):
            return
        row, bit = self._bits[place >> 3], np.uint8(1 << (place & 7))
        gone = (row & bit != 0) & chunks
        row[gone] &= ~bit
        self._waits[place] -= np.count_nonzero(gone)
        self.counts -= gone
        self.chunks_wanted = int(np.count_nonzero(self.counts))

    def take(self, chunk: int) -> int:
        """`chunk` is going to be sent now, for all who want it; how many. Who joins from now on wants it again."""
        count = int(self.counts[chunk])
        if count:
            self._waits -= np.unpackbits(self._bits[:, chunk], bitorder="little")
            self._bits[:, chunk] = 0
            self.counts[chunk] = 0
            self.chunks_wanted -= 1
        return count

    def nearly_done(self) -> int | None:
        """The first chunk of the member that waits for the fewest, if those are at most NEARLY_CHUNKS."""
        return self._first_of((self._waits > 0) & (self._waits <= NEARLY_CHUNKS))

    def fewest(self) -> int | None:
        """The first chunk of the member that waits for the fewest, if others wait as well."""
        waiting = self._waits > 0
        return self._first_of(waiting) if np.count_nonzero(waiting) > 1 else None

    def _first_of(self, places: NDArray[np.bool_]) -> int | None:
        """Of those at `places`, the one that waits for the fewest: its first chunk."""
        some = np.flatnonzero(places)
        if not len(some):
            return None
        place = int(some[self._waits[some].argmin()])
        return int((self._bits[place >> 3] & np.uint8(1 << (place & 7)) != 0).argmax())
