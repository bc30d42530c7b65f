"""What a reception hands to its shell, and what it counts."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.assembly import Repairs
from transports.multicast.proto.layout import Layout

__all__ = ["Figures", "Placement", "Progress", "Ready"]


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where some symbols of a train go: packet `packets[i]` to row `rows[i]` of `slot`."""

    slot: int
    packets: slice | NDArray[np.int64]
    """A slice where they follow each other, so that they need not be gathered."""
    rows: NDArray[np.int64]

    def among(self, numbers: NDArray[np.int64]) -> Placement:
        """The same, where packet i is number `numbers[i]` of the caller's; both rise."""
        where: NDArray[np.int64] = numbers[self.packets]
        together = int(where[-1]) - int(where[0]) == len(where) - 1
        packets = slice(int(where[0]), int(where[-1]) + 1) if together else where
        return Placement(slot=self.slot, packets=packets, rows=self.rows)


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that is all there. Its slot is the caller's; `repairs` are to be decoded before the frame is read."""

    chunk: int
    slot: int
    layout: Layout
    encoding: int
    repairs: Repairs
    proven: bool = True
    """Every symbol was authenticated. If not, of some packets only the header was."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How a cast stands with a member, for those who may take chunks elsewhere."""

    arriving: frozenset[int] = frozenset()
    """Chunks of which something is there."""
    position: int = 0
    """What is lacking below it was sent already, and comes again only at the end."""
    repeating: bool = False
    """Everything that is sent now was sent before."""
    idle: bool = False
    """The sender has nothing to send."""


class Figures(msgspec.Struct):
    """Running totals."""

    packets: int = 0
    """Data packets fed."""
    malformed: int = 0
    """Packets that named nothing that exists, or contradicted others."""
    stored: int = 0
    """Symbols that were needed."""
    surplus: int = 0
    """Symbols of chunks or blocks that are complete or not wanted."""
    passed: int = 0
    """Symbols that went by because there was no slot."""
    chunks: int = 0
    """Chunks completed."""
    rejected: int = 0
    """Chunks that were not what their digest says."""
    reports: int = 0
    asked: int = 0
    """Reports that asked for something."""
    overflow: int = 0
    """Packets the socket dropped."""
    probes: int = 0
