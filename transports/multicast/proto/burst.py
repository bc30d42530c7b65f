"""What a cast hands to its shell to send, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.layout import Layout

__all__ = ["Burst", "Control", "Totals"]


class Burst(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Data packets of one chunk, of equal size, to be sent now: a train, or a few that leave together."""

    chunk: int
    layout: Layout
    encoding: int
    first_sequence: int
    """Of its first packet; the others follow."""
    blocks: NDArray[np.uint8]
    symbols: NDArray[np.uint8]
    first_row: int | None
    """Originals: rows first_row … first_row + len of the stored frame, in order. None for a repair."""
    ahead: NDArray[np.int32] | None = None
    """A repair: how many symbols of each block are due after these, the next ones in order."""

    def __len__(self) -> int:
        return len(self.blocks)

    @classmethod
    def whole(cls, chunk: int, layout: Layout, encoding: int) -> Burst:
        """All originals of a chunk, without sequence numbers: what bursts of it are cut from."""
        blocks, symbols = layout.places()
        return cls(
            chunk=chunk,
            layout=layout,
            encoding=encoding,
            first_sequence=0,
            blocks=blocks,
            symbols=symbols,
            first_row=0,
        )

    def cut(self, start: int, stop: int, first_sequence: int) -> Burst:
        """Rows `start` … `stop` - 1 of a whole chunk, to be sent under numbers from `first_sequence` on."""
        return Burst(
            chunk=self.chunk,
            layout=self.layout,
            encoding=self.encoding,
            first_sequence=first_sequence,
            blocks=self.blocks[start:stop],
            symbols=self.symbols[start:stop],
            first_row=start,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One STATUS or PROBE, without the authenticator, to be sent now."""

    sequence: int
    data: bytes


@dataclass(slots=True)
class Totals:
    """Running totals of a cast."""

    packets: int = 0
    """Data packets: originals and repairs."""
    originals: int = 0
    repairs: int = 0
    """Symbols sent beyond the originals of a chunk."""
    unasked: int = 0
    """Repairs sent before anybody asked; part of `repairs`."""
    control: int = 0
    wire_bytes: int = 0
    """Everything, headers of all layers included."""
    chunks: int = 0
    """Chunks sent, repetitions included."""
    chunks_again: int = 0
    """Repetitions."""
    reports: int = 0
    """Good ones."""
    reports_refused: int = 0
    """Malformed, forged, repeated, of nobody or another cast."""
    reports_cut: int = 0
    """Reports whose member had more to ask for than one holds; it asks again."""
    reports_passed_over: int = 0
    """Reports of members who ask for more than they may; their figures count, what they ask for does not."""
    entries_refused: int = 0
    """Deficits of chunks or blocks that do not exist, or above k."""
    entries_stale: int = 0
    """Deficits a repair sent since took care of."""
    repairs_forgotten: int = 0
    """Chunks whose repairs were dropped because too many were remembered."""

    def count(self, burst: Burst, packets: int) -> None:
        """So many packets of a burst go out, or are taken back."""
        self.packets += packets
        if burst.first_row is None:
            self.repairs += packets
        else:
            self.originals += packets
