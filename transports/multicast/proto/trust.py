"""When a member need not authenticate symbols: where its machine is busy, and nobody seems to forge.

A packet has a tag of its header and one of its symbol. The first is always looked at: it says where a symbol goes, and
what was lost. To look at the second is most of what tags cost a member, and needs doing only to throw a forged symbol
away before it spoils its chunk, whose digest has the last word. So where the processor is what everything waits for,
symbols are taken on trust, once so many packets in a row were good, in packets that come in the order in which they
were sent, each for the first time, with no forged header among them.

What that leaves to a forger: who can hold a packet back and put another in its place can spoil the chunks that arrive
at that moment. Who only listens and sends comes too late, unless the network lets a copy of a header overtake the
packet it is a copy of; it passes for the first of its number only where that one was lost and nothing sent since has
come, and spoils a chunk. The first chunk that fails its digest takes the trust away, and so does the first copy that
was not in time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FIRST_PACKETS", "LONGER", "Trust", "in_order"]

FIRST_PACKETS = 8192
"""So many packets in a row must be good as a whole before any is taken on trust: a tenth of a second at 1 Gbit/s."""
LONGER = 16
"""That grows by this factor each time trust that was given is taken away, and does not shrink: in an image of 50 GB it
can be three times. A forgery before trust is given only starts the count again."""


def in_order(sequences: NDArray[np.int64], highest: int) -> bool:
    """Whether packets, numbered `sequences` as they came, are each later than all before, of which `highest` was the
    latest."""
    if not len(sequences) or int(sequences[0]) <= highest:
        return False
    return bool(np.logical_and.reduce(sequences[1:] > sequences[:-1]))


class Trust:
    """One member's trust in one cast. No time, no I/O."""

    __slots__ = ("_good", "_needed", "_rejected")

    def __init__(self) -> None:
        self._needed = FIRST_PACKETS
        self._good = 0
        """Good ones in a row, as far as they were looked at as a whole."""
        self._rejected = 0

    @property
    def given(self) -> bool:
        """Whether packets in order may be taken on trust."""
        return self._good >= self._needed

    def handle_good(self, packets: int) -> None:
        """So many packets in order were authentic as a whole. Others earn nothing: whoever overheard a train could send
        it again and again."""
        self._good += packets

    def handle_forged(self) -> None:
        """Something was not authentic."""
        if self.given:
            self._needed *= LONGER
        self._good = 0

    def handle_rejected(self, chunks: int) -> None:
        """So many chunks were not what their digest says, since the cast began."""
        if chunks > self._rejected:
            self._rejected = chunks
            self.handle_forged()
