"""The symbols of one chunk as they come in: which are here, where they lie, what each block still lacks.

The memory of a chunk has n rows of S bytes, one for each original. An original goes to its own row; a parity symbol
to the row of an original that is not there. When a block has k symbols, whichever, it can be decoded in place.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.layout import Layout

__all__ = ["Assembly", "Repairs"]

EMPTY = -1


class Repairs(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a complete chunk that hold anything but their originals."""

    rows: NDArray[np.int64]
    """Rising."""
    symbols: NDArray[np.int64]
    """The symbol that lies in each of them: parity of its block, or another original."""

    def __len__(self) -> int:
        return len(self.rows)


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
        self._count = np.zeros(blocks, dtype=np.int64)
        self._have = np.zeros(blocks * 256, dtype=np.bool_)
        self._held = np.full(layout.symbols, EMPTY, dtype=np.int16)

    @property
    def complete(self) -> bool:
        """Every block can be decoded."""
        return self.missing == 0

    def deficits(self) -> NDArray[np.int64]:
        """Symbols each block still needs."""
        return self._k - self._count

    def place(
        self, blocks: NDArray[np.uint8], symbols: NDArray[np.uint8], now: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take what is needed of a train: (which of its packets, to which rows); the caller copies them there."""
        self.touched = now
        # symbols in the order of rows: where an original lies if nothing else does, and beyond the rows the parity
        flat = symbols.astype(np.int64) * len(self._k) + blocks
        # The usual train: originals in order, none of them here (it would be in its row), no row taken by parity. What
        # follows them, as parity does at the end of a chunk, is looked at by itself.
        beyond = flat >= len(self._held)
        stop = int(beyond.argmax()) if beyond[-1] else len(flat)
        body = flat[:stop]
        if not stop or not (body[1:] > body[:-1]).all() or not (self._held[body] == EMPTY).all():
            return self._place_some(blocks.astype(np.int64), symbols.astype(np.int64), flat)
        self._take(blocks[:stop], symbols[:stop], body, body)
        if stop == len(flat):
            return np.arange(stop), body
        taken, rows = self._place_some(blocks[stop:].astype(np.int64), symbols[stop:].astype(np.int64), flat[stop:])
        return np.concatenate([np.arange(stop), taken + stop]), np.concatenate([body, rows])

    def repairs(self) -> Repairs:
        """What has to be done before a complete chunk can be read."""
        rows = np.flatnonzero(self._held != np.arange(len(self._held)) // len(self._k))
        return Repairs(rows=rows, symbols=self._held[rows].astype(np.int64))

    def _place_some(
        self, block: NDArray[np.int64], symbol: NDArray[np.int64], flat: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Repairs and repetitions: what is new, and of each block no more than it needs."""
        fresh = np.flatnonzero(~self._have[flat])
        if not (np.diff(flat[fresh]) > 0).all():  # else none of them stands there twice
            fresh = fresh[_ranks(flat[fresh]) == 0]
        ranks = _ranks(block[fresh])
        needed = ranks < (self._k - self._count)[block[fresh]]
        fresh, ranks = fresh[needed], ranks[needed]
        of, number = block[fresh], symbol[fresh]
        width = len(self._k)
        rows = flat[fresh]
        at_home = number < self._k[of]
        at_home[at_home] = self._held[rows[at_home]] == EMPTY
        self._held[rows[at_home]] = number[at_home]
        if not at_home.all():
            free = np.flatnonzero(self._held == EMPTY)
            free = free[np.argsort(free % width, kind="stable")]
            guests = of[~at_home]
            if at_home.any():
                ranks = _ranks(guests)  # as those at home take no other's row; else they were counted already
            rows[~at_home] = free[np.searchsorted(free % width, guests) + ranks]
        self._take(of, number, flat[fresh], rows)  # `rows` is a copy, and may differ by now
        return fresh, rows

    def _take(
        self,
        block: NDArray[np.uint8] | NDArray[np.int64],
        symbol: NDArray[np.uint8] | NDArray[np.int64],
        flat: NDArray[np.int64],
        rows: NDArray[np.int64],
    ) -> None:
        self._have[flat] = True
        self._held[rows] = symbol
        self._count += np.bincount(block, minlength=len(self._k))
        self.missing -= len(flat)


def _ranks(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many equal values stand before each."""
    order = np.argsort(values, kind="stable")
    grouped = values[order]
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order] = np.arange(len(values)) - np.searchsorted(grouped, grouped)
    return ranks
