"""Want-map: which chunks a client still lacks. One per client, shared by all transports of its session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from core.errors import ProtocolError

__all__ = ["WantMap"]


class WantMap:
    """A set of chunk indices in [0, count), held as one byte each (4 MiB at the largest image).

    Wire form: ceil(count / 8) bytes, bit k of the map is bit k & 7 of byte k >> 3, unused bits zero.
    """

    __slots__ = ("_flags", "_wanted", "changes")

    def __init__(self, count: int, *, full: bool = True) -> None:
        self._flags: NDArray[np.bool_] = np.full(count, full, dtype=np.bool_)
        self._wanted = count if full else 0
        self.changes = 0
        """How often a chunk was added or discarded: who has seen the map at this count knows it. Read only."""

    @property
    def count(self) -> int:
        """Number of chunks in the image."""
        return len(self._flags)

    @property
    def flags(self) -> NDArray[np.bool_]:
        """One flag a chunk, as they are and as they change; not to be written."""
        view = self._flags.view()
        view.flags.writeable = False
        return view

    def __len__(self) -> int:
        """Number of chunks still wanted."""
        return self._wanted

    def __contains__(self, chunk: int) -> bool:
        return 0 <= chunk < len(self._flags) and bool(self._flags[chunk])

    def __iter__(self) -> Iterator[int]:
        """Wanted chunks in rising order; the map may be changed while iterating (a snapshot is walked)."""
        return iter(np.flatnonzero(self._flags).tolist())

    def add(self, chunk: int) -> None:
        """Want `chunk` (again)."""
        if not self._flags[chunk]:
            self._flags[chunk] = True
            self._wanted += 1
            self.changes += 1

    def discard(self, chunk: int) -> bool:
        """Stop wanting `chunk`; True if it was wanted until now."""
        was = bool(self._flags[chunk])
        if was:
            self._flags[chunk] = False
            self._wanted -= 1
            self.changes += 1
        return was

    def discard_all(self, chunks: Iterable[int]) -> None:
        """Stop wanting each of `chunks`."""
        for chunk in chunks:
            self.discard(chunk)

    def next_from(self, start: int, limit: int) -> list[int]:
        """Up to `limit` wanted chunks at or after `start`, in rising order."""
        found: list[int] = []
        step = 65536  # look at the map in pieces, so that a short answer costs little on a large image
        position = max(start, 0)
        while position < len(self._flags) and len(found) < limit:
            hits = np.flatnonzero(self._flags[position : position + step])[: limit - len(found)]
            found.extend((hits + position).tolist())
            position += step
        return found

    def to_bytes(self) -> bytes:
        """The wire form."""
        return np.packbits(self._flags, bitorder="little").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes | memoryview, count: int) -> WantMap:
        """Parse the wire form of a map over `count` chunks; ProtocolError if the length or padding is wrong."""
        if len(data) != (count + 7) // 8:
            raise ProtocolError(f"want-map of {len(data)} bytes for {count} chunks")
        bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")
        if bits[count:].any():
            raise ProtocolError("want-map names chunks the image does not have")
        result = cls(0)
        result._flags = bits[:count].astype(np.bool_)
        result._wanted = int(result._flags.sum())
        return result
