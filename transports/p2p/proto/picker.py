"""Picker: which chunk a peer asks of which neighbour: the rarest first, inside a window that keeps disks in order.

The window is the next so many chunks that are still to be asked for, from the lowest on: every peer stays near the
same place of the image, so that chunks are served from memory and written nearly in order. Among equally rare
chunks each peer has an order of its own, so that peers take different ones and have something to exchange.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.wantmap import WantMap
from transports.p2p.proto.holders import Holders

__all__ = ["Phase", "Picker"]

_MIX = np.uint64(0x9E3779B97F4A7C15)
_RARITY_SHIFT = np.uint64(48)


class Phase(enum.IntEnum):
    """Where a chunk stands with this peer."""

    FREE = 0
    """To be asked for, if it is wanted."""
    ASKED = 1
    HELD = 2
    """It came, and the session looks at it."""
    DONE = 3
    """Good, or wanted no more."""
    LOST = 4
    """Nobody can give it."""


_FREE, _ASKED = int(Phase.FREE), int(Phase.ASKED)
"""As plain numbers: an array compared with a member of an enumeration takes ten times as long."""


class Picker:
    """Phases of all chunks, and the choice among those that are free. `want` and `holders` are read, never changed."""

    def __init__(self, want: WantMap, holders: Holders, *, seed: int, window: int) -> None:
        """`seed` is the peer's own; `window` counts chunks."""
        self._want = want
        self._holders = holders
        self._seed = np.uint64(seed & 0xFFFF_FFFF)
        self._size = window
        self._phase_of = bytearray(want.count)
        self._phases: NDArray[np.uint8] = np.frombuffer(self._phase_of, dtype=np.uint8)
        """The same memory, to look at many; one at a time is cheaper there."""
        self._reserved: set[int] = set()
        self._window: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._ties: NDArray[np.uint64] = np.zeros(0, dtype=np.uint64)
        self._base = 0
        self._end = 0
        """One more than the highest chunk the window ever had."""
        self._stale = True
        self._barren: set[int] = set()
        """Neighbours that hold nothing to be asked for, since they were looked at last."""

    @property
    def wanted(self) -> int:
        """Chunks that are wanted still, whatever their phase."""
        return len(self._want)

    def phase(self, chunk: int) -> Phase:
        """Where `chunk` stands."""
        return Phase(self._phase_of[chunk])

    def set_phase(self, chunk: int, phase: Phase) -> None:
        """It stands elsewhere now."""
        before, after = self._phase_of[chunk], int(phase)
        self._phase_of[chunk] = after
        if after == _FREE:
            self._barren.clear()
        if before > _ASKED or after > _ASKED:  # it enters or leaves the window
            self._stale = True
            self._base = min(self._base, chunk)

    def give_up(self, chunk: int) -> None:
        """Nobody is waited for: if it was asked for, it is free again."""
        if self._phase_of[chunk] == _ASKED:
            self.set_phase(chunk, Phase.FREE)

    def set_window(self, size: int) -> None:
        """Repod says how far to look ahead."""
        self._size = max(1, size)
        self._look_at_all()

    def look_again(self) -> None:
        """The want-map has chunks that it did not have before."""
        self._base = 0
        self._look_at_all()

    def reserve(self, chunks: Iterable[int]) -> None:
        """These come from the origin: no neighbour is asked for them."""
        before, self._reserved = self._reserved, set(chunks)
        if not before <= self._reserved:
            self._barren.clear()

    def usable(self, chunk: int) -> bool:
        """Free and wanted."""
        return self._phase_of[chunk] == _FREE and chunk in self._want

    def window(self) -> NDArray[np.int64]:
        """The chunks looked at now, in rising order. Some may be asked already."""
        if self._stale:
            self._refresh()
        return self._window

    def choose(self, peer: int) -> int | None:
        """The chunk to ask of `peer`; None if it holds nothing this peer is to ask for."""
        chunks = self.window()
        if self._holders.grown:
            self._barren -= self._holders.grown
            self._holders.grown.clear()
        if peer in self._barren:
            return None
        found = self._rarest(peer, chunks)
        if found is None:
            self._barren.add(peer)
        return found

    def lacking(self, peers: Iterable[int]) -> list[int]:
        """Chunks of the window that are free and wanted and that none of `peers` holds, in rising order."""
        chunks = self.window()
        chunks = chunks[self._phases[chunks] == _FREE]
        for peer in peers:
            chunks = chunks[~self._holders.held_of(peer, chunks)]
        return [chunk for chunk in chunks.tolist() if chunk in self._want]

    def _rarest(self, peer: int, chunks: NDArray[np.int64]) -> int | None:
        able = (self._phases[chunks] == _FREE) & self._holders.held_of(peer, chunks)
        places = np.flatnonzero(able)
        if not len(places):
            return None
        rarity = self._holders.rarity[chunks[places]].astype(np.uint64)
        for place in places[np.argsort((rarity << _RARITY_SHIFT) | self._ties[places])]:
            chunk = int(chunks[place])
            if chunk in self._want and chunk not in self._reserved:
                return chunk
        return None

    def _look_at_all(self) -> None:
        self._stale = True
        self._end = 0
        self._barren.clear()

    def _refresh(self) -> None:
        """The next wanted chunks that are not in hand yet."""
        found = np.zeros(0, dtype=np.int64)
        start = self._base
        while len(found) < self._size:
            ahead = np.array(self._want.next_from(start, self._size), dtype=np.int64)
            if not len(ahead):
                break
            found = np.concatenate((found, ahead[self._phases[ahead] <= _ASKED]))
            start = int(ahead[-1]) + 1
        self._window = found = found[: self._size]
        self._base = int(found[0]) if len(found) else start
        if len(found) and found[-1] >= self._end:
            self._end = int(found[-1]) + 1
            self._barren.clear()
        mixed = (self._window.astype(np.uint64) ^ (self._seed << np.uint64(32))) * _MIX
        self._ties = (mixed ^ (mixed >> np.uint64(29))) * _MIX >> np.uint64(16)
        self._stale = False
