"""Who of the neighbours holds which chunk, and how rare each is among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Holders"]


class Holders:
    """Have-maps of the neighbours. Peers are named by their id; chunks by their number, all below `chunks`."""

    def __init__(self, chunks: int) -> None:
        self.chunks = chunks
        self.rarity: NDArray[np.uint16] = np.zeros(chunks, dtype=np.uint16)
        """Neighbours that hold each chunk; read only."""
        self.grown: set[int] = set()
        """Peers that hold something they did not hold before, or are gone; cleared by who reads it."""
        self._maps: dict[int, NDArray[np.bool_]] = {}
        self._counts: dict[int, int] = {}
        self.frontier = 0
        """One more than the highest chunk anybody was ever heard to hold."""

    @property
    def peers(self) -> list[int]:
        """All neighbours."""
        return list(self._maps)

    def __len__(self) -> int:
        """Neighbours."""
        return len(self._maps)

    def __contains__(self, peer: int) -> bool:
        return peer in self._maps

    def count(self, peer: int) -> int | None:
        """How many chunks `peer` holds; None of who is no neighbour."""
        return self._counts.get(peer)

    def join(self, peer: int) -> None:
        """A neighbour; it holds nothing until something else is said. Harmless when repeated."""
        if peer not in self._maps:
            self._maps[peer] = np.zeros(self.chunks, dtype=np.bool_)
            self._counts[peer] = 0

    def leave(self, peer: int) -> None:
        """It is a neighbour no more."""
        held = self._maps.pop(peer, None)
        self._counts.pop(peer, None)
        if held is not None:
            self.rarity -= held
            self.grown.add(peer)

    def replace(self, peer: int, held: NDArray[np.bool_]) -> None:
        """All it holds. Owned by this object from now on."""
        self.leave(peer)
        self._maps[peer] = held
        self.rarity += held
        self.grown.add(peer)
        found = np.flatnonzero(held)
        self._counts[peer] = len(found)
        if len(found):
            self.frontier = max(self.frontier, int(found[-1]) + 1)

    def add(self, peer: int, chunks: Iterable[int]) -> None:
        """It holds these as well."""
        held = self._maps[peer]
        for chunk in chunks:
            if not held[chunk]:
                held[chunk] = True
                self.grown.add(peer)
                self._counts[peer] += 1
                self.rarity[chunk] += 1
                self.frontier = max(self.frontier, chunk + 1)

    def remove(self, peer: int, chunks: Iterable[int]) -> None:
        """It holds these no more."""
        held = self._maps[peer]
        for chunk in chunks:
            if held[chunk]:
                held[chunk] = False
                self._counts[peer] -= 1
                self.rarity[chunk] -= 1

    def holds(self, peer: int, chunk: int) -> bool:
        """Does `peer` hold `chunk`?"""
        held = self._maps.get(peer)
        return held is not None and bool(held[chunk])

    def held_of(self, peer: int, chunks: NDArray[np.int64]) -> NDArray[np.bool_]:
        """One flag for each of `chunks`."""
        return self._maps[peer][chunks]

    def can_spare(self, chunks: Sequence[int]) -> bool:
        """Each of `chunks` can be had from a neighbour as well."""
        return bool((self.rarity[np.asarray(chunks, dtype=np.int64)] > 0).all())
