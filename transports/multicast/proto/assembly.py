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

    __slots__ = ("_guests", "_have", "_k", "_reach", "encoding", "layout", "missing", "proven", "slot", "touched")

    def __init__(self, *, layout: Layout, encoding: int, slot: int, now: float) -> None:
        self.layout = layout
        self.encoding = encoding
        self.slot = slot
        self.touched = now
        """When a packet of it came last."""
        self.proven = True
        """Every symbol taken was authenticated."""
        self.missing = layout.symbols
        """Symbols still needed."""
        self._k = layout.block_symbols()
        # by number and block: the order of rows, of which there is one for each original, and beyond them the parity
        self._have = np.zeros(len(self._k) * 256, dtype=np.bool_)
        self._guests: NDArray[np.int16] | None = None
        """The symbol in each row that is not the row's own; None as long as there is none."""
        self._reach = 0
        """No original of this row or a later one is here; said of fewer rows than it holds for."""

    @property
    def complete(self) -> bool:
        """Every block can be decoded."""
        return self.missing == 0

    def deficits(self) -> NDArray[np.int64]:
        """Symbols each block still needs."""
        here: NDArray[np.int64] = np.add.reduce(self._have.reshape(256, -1), axis=0, dtype=np.int64)
        return self._k - here

    def place(
        self, blocks: NDArray[np.uint8], symbols: NDArray[np.uint8], now: float
    ) -> list[tuple[slice | NDArray[np.int64], NDArray[np.int64]]]:
        """Take what is needed of a train. In one or two parts: which of its packets, and the row of each; the caller
        copies them there."""
        self.touched = now
        flat = np.multiply(symbols, len(self._k), dtype=np.int64)
        flat += blocks
        # The usual train: originals in order, none of them here, no row of theirs taken by parity. What follows them,
        # as parity does at the end of a chunk, is looked at by itself.
        count, beyond = len(flat), int(flat[-1]) >= self.layout.symbols
        stop = int((flat >= self.layout.symbols).argmax()) if beyond else count
        body = flat[:stop]
        if not stop or not np.logical_and.reduce(body[1:] > body[:-1]) or not self._free(body):
            return [self._place_some(blocks.astype(np.int64), symbols.astype(np.int64), flat)]
        self._have[body] = True
        self._reach = max(self._reach, int(body[-1]) + 1)
        self.missing -= stop
        if stop == count:
            return [(slice(0, stop), body)]
        taken, rows = self._place_some(blocks[stop:].astype(np.int64), symbols[stop:].astype(np.int64), flat[stop:])
        return [(slice(0, stop), body), (taken + stop, rows)]

    def repairs(self) -> Repairs:
        """What has to be done before a complete chunk can be read."""
        if self._guests is None:
            none = np.zeros(0, dtype=np.int64)
            return Repairs(rows=none, symbols=none)
        rows = np.flatnonzero(self._guests != EMPTY)
        return Repairs(rows=rows, symbols=self._guests[rows].astype(np.int64))

    def _free(self, rows: NDArray[np.int64]) -> bool:
        """Whether nothing lies in `rows`, which rise."""
        if self._guests is not None and not np.logical_and.reduce(self._guests.take(rows) == EMPTY):
            return False
        return int(rows[0]) >= self._reach or not np.logical_or.reduce(self._have.take(rows))

    def _place_some(
        self, block: NDArray[np.int64], symbol: NDArray[np.int64], flat: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Repairs and repetitions: what is new, and of each block no more than it needs."""
        fresh = np.logical_not(self._have.take(flat)).nonzero()[0]
        rows = flat.take(fresh)
        if not np.logical_and.reduce(rows[1:] > rows[:-1]):  # else none of them stands there twice
            fresh = fresh[_ranks(rows) == 0]
        of = block.take(fresh)
        ranks = _ranks(of)
        needed = ranks < self.deficits().take(of)
        fresh, of, ranks = fresh[needed], of[needed], ranks[needed]
        rows, own = flat.take(fresh), self.layout.symbols
        self._have[rows] = True
        self._reach = own
        self.missing -= len(rows)
        home = rows < own
        if self._guests is not None:
            home[home] = self._guests[rows[home]] == EMPTY
        away = ~home
        if np.logical_or.reduce(away):
            if self._guests is None:
                self._guests = np.full(own, EMPTY, dtype=np.int16)
            if np.logical_or.reduce(home):
                of = of[away]
                ranks = _ranks(of)  # as those at home take no other's row; else they were counted already
            rows[away] = guests = self._rooms(of, ranks)
            self._guests[guests] = symbol[fresh[away]]
        return fresh, rows

    def _rooms(self, blocks: NDArray[np.int64], ranks: NDArray[np.int64]) -> NDArray[np.int64]:
        """A row of its block for each of these guests: of those where nothing lies, the one of its rank."""
        width = len(self._k)
        free = (~self._have[: self.layout.symbols] & (self._guests == EMPTY)).nonzero()[0]
        of = free % width
        order = of.argsort(kind="stable")
        rows: NDArray[np.int64] = free.take(order.take(of.take(order).searchsorted(blocks) + ranks))
        return rows


def _ranks(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many equal values stand before each."""
    order = values.argsort(kind="stable")
    grouped = values.take(order)
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order] = np.arange(len(values)) - grouped.searchsorted(grouped)
    return ranks
