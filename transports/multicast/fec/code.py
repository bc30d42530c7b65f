"""What the multicast shells ask of an erasure code, so that another code may take its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["SYMBOLS_MAX", "SYMBOL_ALIGN_BYTES", "ErasureCode"]

SYMBOLS_MAX = 256
"""Originals and parity of one block together: the elements of GF(2^8)."""
SYMBOL_ALIGN_BYTES = 8
"""A symbol's length is a multiple of this, so that rows are handled as machine words."""


class ErasureCode(Protocol):
    """A systematic MDS code: originals 0 to k-1 are sent as they are, parity has the indices from k to 255.

    Any k different symbols of a block rebuild it. A block is a k x S array of bytes, k from 1 to 255, whose rows may
    lie apart (a view such as `chunk[number::blocks]`) as long as each row is contiguous.
    """

    def encode(self, block: NDArray[np.uint8], parity: Sequence[int]) -> NDArray[np.uint8]:
        """One new row for each index of `parity`, in that order. ValueError for an index outside k to 255."""

    def encode_frame(self, frame: NDArray[np.uint8], blocks: int, first: int, count: int) -> NDArray[np.uint8]:
        """Parity k + `first` … k + `first` + `count` - 1 of every block of a frame, by parity and block.

        The rows of `frame`, which follow each other without a gap, are dealt round robin to `blocks` blocks, so that k
        differs by one at most. ValueError for parity that the longest of them does not have, and for rows with gaps.
        """

    def decode(
        self,
        block: NDArray[np.uint8],
        missing: Sequence[int],
        parity: Sequence[int],
        rows: NDArray[np.uint8],
    ) -> None:
        """Rebuild the originals `missing` of `block` in place from `rows`, the parity of the indices `parity`.

        What the missing rows hold before does not matter. `rows` is only read. More parity than needed may be
        given. ValueError if there is less parity than missing rows, or an index is repeated or out of range.
        """

    def decode_frame(
        self, frame: NDArray[np.uint8], blocks: int, rows: NDArray[np.integer], parity: NDArray[np.integer]
    ) -> None:
        """Rebuild the originals that belong in `rows` of a frame, dealt to `blocks` as `encode_frame` has them, in
        place: what lies there is parity of their blocks, of the indices `parity`. ValueError as in `decode`."""
