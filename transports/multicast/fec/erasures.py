"""Which originals of a frame are missing, and which parity lies where they belong."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from transports.multicast.fec.code import SYMBOLS_MAX

__all__ = ["Erasures", "erasures_of"]


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
            stop = int(np.searchsorted(self.blocks, self.blocks[stop - 1], side="right"))
            yield slice(start, stop)
            start = stop


def erasures_of(
    frame: NDArray[np.uint8], blocks: int, rows: NDArray[np.integer], parity: NDArray[np.integer]
) -> Erasures:
    """Of a frame of `blocks` blocks, parity of the index `parity` in each of `rows`. ValueError for what cannot be."""
    if len(rows) != len(parity) or not 0 < blocks <= len(frame):
        raise ValueError(f"{len(rows)} missing rows and {len(parity)} parity indices in {blocks} blocks")
    block = rows.astype(np.int64) % blocks
    order = np.argsort(block, kind="stable")
    row, block, index = rows[order].astype(np.int64), block[order], parity[order].astype(np.int64)
    least, longer = divmod(len(frame), blocks)
    k = least + (block < longer)
    if ((row < 0) | (row >= len(frame))).any() or _repeats(row):
        raise ValueError(f"missing rows {rows.tolist()} of a frame of {len(frame)}")
    if ((index < k) | (index >= SYMBOLS_MAX)).any() or _repeats(block * SYMBOLS_MAX + index):
        raise ValueError(f"parity indices {parity.tolist()} of blocks of {least}")
    return Erasures(rows=row, blocks=block, missing=row // blocks, parity=index, k=k)


def _repeats(values: NDArray[np.int64]) -> bool:
    ordered = np.sort(values)
    return bool((ordered[1:] == ordered[:-1]).any())
