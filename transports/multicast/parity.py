"""Parity for trains of repairs, made for several trains in one go.

A train holds a few symbols of each block of its chunk, and the next train a few more of the same blocks. To make them
means to read the whole block whether one row is wanted or ten, so what is due later is made with what is due now.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transports.multicast.fec.code import SYMBOLS_MAX, ErasureCode

__all__ = ["ParityAhead"]


class ParityAhead:
    """Parity rows of one chunk after another. Use from one thread.

    Holds what was made of one chunk, at most the rows between its blocks' k and 256: less than a frame where blocks are
    as long as they should be.
    """

    def __init__(self, code: ErasureCode) -> None:
        self._code = code
        self._chunk: int | None = None
        self._made: dict[int, tuple[int, NDArray[np.uint8]]] = {}
        """By block: the first symbol, and the rows from that one on."""
        self.encodings = 0
        """Blocks that were read to make parity."""

    def rows(
        self, chunk: int, block: int, symbols: Sequence[int], *, of: NDArray[np.uint8], ahead: int
    ) -> NDArray[np.uint8]:
        """The parity `symbols` (rising, each once) of a block whose originals are the rows of `of`.

        `ahead` is how many symbols after the last of them will be asked for soon. What comes back is only read.
        """
        if chunk != self._chunk:
            self._chunk = chunk
            self._made.clear()
        first, made = self._made.get(block, (0, None))
        if made is None or symbols[0] < first or symbols[-1] >= first + len(made):
            after = range(symbols[-1] + 1, min(SYMBOLS_MAX, symbols[-1] + 1 + ahead))
            rows = self._code.encode(of, [*symbols, *after])
            self.encodings += 1
            if symbols[-1] - symbols[0] >= len(symbols):  # not one after the other
                self._made[block] = symbols[-1] + 1, rows[len(symbols) :]
                return rows[: len(symbols)]
            first, made = self._made[block] = symbols[0], rows
        wanted: NDArray[np.uint8] = made[np.asarray(symbols) - first]
        return wanted
