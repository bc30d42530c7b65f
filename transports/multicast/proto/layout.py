"""How a chunk's stored bytes become symbols and blocks.

A stored frame is cut in n = ceil(length / S) symbols of S bytes, the last one filled with zeros. They are dealt round
robin to B = ceil(n / 188) blocks: row i is symbol i // B of block i % B. Sending rows in order therefore reads the
frame from front to back, and a burst of lost packets is spread over all blocks. Symbols k … 255 of a block are parity.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.limits import MAX_BLOCK_SYMBOLS, MAX_STORED_BYTES, MAX_SYMBOL_BYTES, MIN_SYMBOL_BYTES

__all__ = ["Layout", "check_symbol_bytes"]

_REMEMBERED = 16
"""Lengths of chunks whose blocks and places are remembered; chunks that are not compressed all have one."""


def check_symbol_bytes(symbol_bytes: int) -> None:
    """ValueError unless the symbols of a cast may be so large."""
    if not MIN_SYMBOL_BYTES <= symbol_bytes <= MAX_SYMBOL_BYTES or symbol_bytes % 8:
        raise ValueError(f"no symbol size: {symbol_bytes}")


class Layout(msgspec.Struct, frozen=True):
    """The layout of one stored frame."""

    stored_bytes: int
    symbol_bytes: int

    def __post_init__(self) -> None:
        if not 0 < self.stored_bytes <= MAX_STORED_BYTES or self.symbol_bytes <= 0:
            raise ValueError(f"no layout for {self.stored_bytes} bytes in symbols of {self.symbol_bytes}")

    @property
    def symbols(self) -> int:
        """Originals of the whole chunk: n."""
        return -(-self.stored_bytes // self.symbol_bytes)

    @property
    def blocks(self) -> int:
        """B."""
        return -(-self.symbols // MAX_BLOCK_SYMBOLS)

    @property
    def padded_bytes(self) -> int:
        """What the memory of a chunk under assembly must hold: n symbols."""
        return self.symbols * self.symbol_bytes

    def block_symbols(self) -> NDArray[np.int32]:
        """k of every block, the longer ones first; they differ by at most one. Read only."""
        return _block_symbols(self.symbols, self.blocks)

    def places(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(block, symbol number) of each row, in order; read only."""
        return _places(self.symbols, self.blocks)

    def rows(self, block: int) -> NDArray[np.int64]:
        """Rows of the originals of `block`, in the order of their symbol numbers."""
        return np.arange(block, self.symbols, self.blocks, dtype=np.int64)


@lru_cache(maxsize=_REMEMBERED)
def _block_symbols(symbols: int, blocks: int) -> NDArray[np.int32]:
    least, more = divmod(symbols, blocks)
    result = np.full(blocks, least, dtype=np.int32)
    result[:more] += 1
    result.flags.writeable = False
    return result


@lru_cache(maxsize=_REMEMBERED)
def _places(symbols: int, blocks: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rows = np.arange(symbols)
    places = (rows % blocks).astype(np.uint8), (rows // blocks).astype(np.uint8)
    for column in places:
        column.flags.writeable = False
    return places
