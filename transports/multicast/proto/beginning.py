"""With which packets a member begins a chunk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.layout import Layout

__all__ = ["Beginning"]


class Beginning:
    """Of one member's chunks. Started in the middle, a chunk would have to be repaired at the expense of all; left
    alone, it is asked for as a whole when there is room. Only a joiner's first chunk is different: the sender knows
    what that one misses."""

    __slots__ = ("_first_chunk",)

    def __init__(self) -> None:
        self._first_chunk: int | None = None

    @property
    def first_chunk(self) -> int | None:
        """The chunk that was going on when the first packet came, whose head may come last of all."""
        return self._first_chunk

    def allows(self, chunk: int, layout: Layout, blocks: NDArray[np.uint8], symbols: NDArray[np.uint8]) -> bool:
        """Whether to start the chunk with packets of these `symbols` of `blocks`, at least one."""
        rows = np.multiply(symbols, layout.blocks, dtype=np.int64)
        rows += blocks
        first = int(np.minimum.reduce(rows))
        if first >= layout.symbols:  # nothing but parity
            return False
        if self._first_chunk is None:
            self._first_chunk = chunk
        return chunk == self._first_chunk or first < max(1, layout.symbols // 4)
