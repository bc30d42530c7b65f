"""When a member need not authenticate symbols: the digest of their chunk proves them as well, unless somebody forges.

A packet has a tag of its header and one of its symbol. The first is always looked at: it says where a symbol goes, and
what was lost. To look at the second is most of what tags cost, and needs doing only to throw a forged symbol away
before it spoils its chunk. So symbols are taken on trust, once so many packets in a row were good, where packets come
in the order in which they were sent, each for the first time, with nothing forged among them. Who only listens and
sends can hardly bring anything between such packets: a copy of a header comes after the packet it was copied from, and
passes for the first of its number only if that one was lost here and nothing else was sent since; the many others that
are sent to hit such a moment take the trust away. Who can hold a packet back and put another in its place can make a
chunk fail its digest. That takes the trust away as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FIRST_PACKETS", "LONGER", "Trust"]

FIRST_PACKETS = 8192
"""So many packets in a row must be good as a whole before any is taken on trust: a tenth of a second at 1 Gbit/s."""
LONGER = 16
"""And so many times as many after each time that trust was abused or something was forged."""


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
        """Whether packets in good order may be taken on trust."""
        return self._good >= self._needed

    def covers(self, sequences: NDArray[np.int64], highest: int) -> bool:
        """Whether these packets, numbered `sequences` as they came, may be: each is later than all before, of which
        `highest` was the latest."""
        if not self.given or not len(sequences) or int(sequences[0]) <= highest:
            return False
        return bool((sequences[1:] > sequences[:-1]).all())

    def handle_checked(self, good: int, *, of: int) -> None:
        """So many packets of some were authentic as a whole."""
        if good < of:
            self._lose()
        else:
            self._good += good

    def handle_rejected(self, chunks: int) -> None:
        """So many chunks were not what their digest says, since the cast began."""
        if chunks > self._rejected:
            self._rejected = chunks
            self._lose()

    def _lose(self) -> None:
        if self.given:
            self._needed *= LONGER
        self._good = 0
