"""The symbols of one chunk as they come in: which are here, where they lie, what each block still lacks.

The memory of a chunk has n rows of S bytes, one for each original. An original goes to its own row; a parity symbol
to the row of an original that is not there. When a block has k symbols, whichever, it can be decoded in place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.layout import Layout

__all__ = ["Assembly", "BlockRepair"]

EMPTY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRepair:
    """A block that is not yet what its originals are: some of its rows hold parity, or another original."""

    block: int
    rows: NDArray[np.int64]
    """Rows of the block in the memory of the chunk, k of them, in the order of its originals."""
    indices: NDArray[np.int16]
    """The symbol that lies in each of these rows; that of row i is i where all is well."""


class Assembly:
    """One chunk on its way; made when its first packet comes."""

    __slots__ = ("_count", "_have", "_held", "_k", "encoding", "layout", "missing", "slot", "touched")

    def __init__(self, *, layout: Layout, encoding: int, slot: int, now: float) -> None:
        blocks = layout.blocks
        self.layout = layout
        self.encoding = encoding
        self.slot = slot
        self.touched = now
        """When a packet of it came last."""
        self.missing = layout.symbols
        """Symbols still needed."""
        self._k = layout.block_symbols()
        self._count = np.zeros(blocks, dtype=np.int32)
        self._have = np.zeros(blocks * 256, dtype=np.bool_)
        self._held = np.full(layout.symbols, EMPTY, dtype=np.int16)

    @property
    def complete(self) -> bool:
        """Every block can be decoded."""
        return self.missing == 0

    def deficits(self) -> NDArray[np.int32]:
        """Symbols each block still needs."""
        return self._k - self._count

    def place(
        self, blocks: NDArray[np.uint8], symbols: NDArray[np.uint8], now: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take what is needed of a train: (which of its packets, to which rows); the caller copies them there."""
        self.touched = now
        block, symbol = blocks.astype(np.int64), symbols.astype(np.int64)
        flat = block * 256 + symbol
        rows = symbol * len(self._k) + block
        # The usual train: originals in order, none of them here, none of their rows taken by parity.
        in_order = bool((rows[1:] > rows[:-1]).all()) and rows[-1] < len(self._held)
        if in_order and (self._held[rows] == EMPTY).all() and not self._have[flat].any():
            self._take(block, symbol, flat, rows)
            return np.arange(len(flat)), rows
        return self._place_some(block, symbol, flat)

    def repairs(self) -> list[BlockRepair]:
        """The blocks of a complete chunk that hold anything but their originals in order."""
        found = []
        width = len(self._k)
        for block in range(width):
            indices = self._held[block::width]
            if (indices != np.arange(len(indices))).any():
                found.append(BlockRepair(block=block, rows=self.layout.rows(block), indices=indices.copy()))
        return found

    def _place_some(
        self, block: NDArray[np.int64], symbol: NDArray[np.int64], flat: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Repairs and repetitions: block by block."""
        fresh = np.flatnonzero(~self._have[flat])
        _, first = np.unique(flat[fresh], return_index=True)
        fresh = fresh[np.sort(first)]
        width = len(self._k)
        taken: list[NDArray[np.int64]] = []
        places: list[NDArray[np.int64]] = []
        for one in np.unique(block[fresh]).tolist():
            mine = fresh[block[fresh] == one][: int(self._k[one] - self._count[one])]
            if not len(mine):
                continue
            own = symbol[mine] * width + one
            at_home = (symbol[mine] < self._k[one]).copy()
            at_home[at_home] = self._held[own[at_home]] == EMPTY
            rows = np.where(at_home, own, 0)
            self._held[rows[at_home]] = symbol[mine[at_home]]
            free = np.flatnonzero(self._held[one::width] == EMPTY) * width + one
            rows[~at_home] = free[: int((~at_home).sum())]
            self._take(block[mine], symbol[mine], flat[mine], rows)
            taken.append(mine)
            places.append(rows)
        if not taken:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        return np.concatenate(taken), np.concatenate(places)

    def _take(
        self, block: NDArray[np.int64], symbol: NDArray[np.int64], flat: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> None:
        self._have[flat] = True
        self._held[rows] = symbol
        self._count += np.bincount(block, minlength=len(self._k)).astype(np.int32)
        self.missing -= len(flat)
