"""What a session was assigned of an image: all that it may take from the origin, whose lanes take it for holdings."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from transports.member.proto.maps import pack_wants

__all__ = ["Assigned"]


class Assigned:
    """`Holdings` of a session's lanes. One thread changes it while others look: to them a chunk is in or out."""

    def __init__(self, chunks: int) -> None:
        """Nothing yet, of an image of so many chunks."""
        self._flags = np.zeros(chunks, dtype=np.bool_)

    def add(self, chunks: Iterable[int]) -> None:
        """Assigned."""
        self._flags[list(chunks)] = True

    def remove(self, chunks: Iterable[int]) -> None:
        """Not any more."""
        self._flags[list(chunks)] = False

    def holds(self, chunk: int) -> bool:
        """See Holdings."""
        return bool(self._flags[chunk])

    def packed(self) -> bytes:
        """See Holdings."""
        return pack_wants(self._flags)
