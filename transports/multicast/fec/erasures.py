"""Which originals of a frame are missing, and which parity lies where they belong."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from transports.multicast.fec.code import SYMBOLS_MAX

__all__ = ["Erasures", "Pairs", "erasures_of", "pairs_of"]


class Erasures(msgspec.Struct, frozen=True, kw_only=True):
    """One entry for each row that holds parity, block by block."""

    rows: NDArray[np.int64]
    """Of the frame."""
    blocks: NDArray[np.int64]
    """The block of each, rising."""
    missing: NDArray[np.int64]
    """The number of the original in its block."""
    parity: NDArray[np.int64]
    """The index of the parity."""
    k: NDArray[np.int64]
    """Originals of the block."""

    def __len__(self) -> int:
        return len(self.rows)

    def groups(self, least: int) -> Iterator[slice]:
        """All entries in order, `least` at a time or a few more: those of one block stay together."""
        start = 0
        while start < len(self):
            stop = min(start + least, len(self))
            stop = int(self.blocks.searchsorted(self.blocks[stop - 1], side="right"))
            yield slice(start, stop)
            start = stop


class Pairs(msgspec.Struct, frozen=True):
    """Every entry with every entry of its block, itself included: what the square matrices of all blocks hold, one
    behind the other, each row by row."""

    first: NDArray[np.int64]
    """The entry of the row."""
    second: NDArray[np.int64]
    """The entry of the column."""
    begins: NDArray[np.int64]
    """Where each entry's row begins."""


def pairs_of(blocks: NDArray[np.int64]) -> Pairs:
    """Of entries whose blocks are `blocks`, rising."""
    sizes = np.bincount(blocks)
    size = sizes.take(blocks)
    begins = size.cumsum() - size
    first = np.arange(len(blocks)).repeat(size)
    # a block's entries lie together: the column is the pair's number, less what lies before the row, from the block's
    # first entry on
    second = np.arange(len(first)) + ((sizes.cumsum() - sizes).take(blocks) - begins).repeat(size)
    return Pairs(first, second, begins)


def erasures_of(
    frame: NDArray[np.uint8], blocks: int, rows: NDArray[np.integer], parity: NDArray[np.integer]
) -> Erasures:
    """Of a frame of `blocks` blocks, parity of the index `parity` in each of `rows`. ValueError for what cannot be."""
    if len(rows) != len(parity) or not 0 < blocks <= len(frame):
        raise ValueError(f"{len(rows)} missing rows and {len(parity)} parity indices in {blocks} blocks")
    block = rows.astype(np.int64) % blocks
    order = block.argsort(kind="stable")
    row, block, index = rows.take(order).astype(np.int64), block.take(order), parity.take(order).astype(np.int64)
    least, longer = divmod(len(frame), blocks)
    k = (block < longer) + least
    if _outside(row, 0, len(frame)) or _repeats(row):
        raise ValueError(f"missing rows {rows.tolist()} of a frame of {len(frame)}")
    if _outside(index - k, 0, SYMBOLS_MAX) or _outside(index, 0, SYMBOLS_MAX) or _repeats(block * SYMBOLS_MAX + index):
        raise ValueError(f"parity indices {parity.tolist()} of blocks of {least}")
    return Erasures(rows=row, blocks=block, missing=row // blocks, parity=index, k=k)


def _outside(values: NDArray[np.int64], least: int, end: int) -> bool:
    return len(values) > 0 and not least <= int(np.minimum.reduce(values)) <= int(np.maximum.reduce(values)) < end


def _repeats(values: NDArray[np.int64]) -> bool:
    ordered = values.copy()
    ordered.sort()
    return bool(np.logical_or.reduce(ordered[1:] == ordered[:-1]))
