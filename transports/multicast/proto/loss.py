"""What sequence numbers tell: which packets are new, and how many were lost on the way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.trust import in_order

__all__ = ["WINDOW_PACKETS", "SequenceTracker"]

WINDOW_PACKETS = 1 << 16
"""How far back a packet may come late; older ones are taken for replays."""
_WINDOW_MASK = WINDOW_PACKETS - 1


class SequenceTracker:
    """Sorts the packets of one cast into new, repeated and too old. Feed it only what was authenticated.

    Numbers are whole (see packets.extend_sequences). Loss counts from the first packet that came, of those sent since
    the sender said where it stands: what is older was heard by somebody else, and is sent again to make a newcomer
    count as lost what it cannot have heard.
    """

    def __init__(self, highest: int = 0) -> None:
        self.highest = highest
        """Highest number seen; before the first packet, where the sender said it stands."""
        self.received = 0
        """Distinct packets."""
        self.repeated = 0
        """Packets that came twice."""
        self.late = 0
        """Packets older than the window, or than the beginning."""
        self._before_first: int | None = None
        self._seen = np.zeros(WINDOW_PACKETS, dtype=np.bool_)

    @property
    def span(self) -> int:
        """Packets sent since the first that came, that one included."""
        return 0 if self._before_first is None else self.highest - self._before_first

    @property
    def lost(self) -> int:
        """Packets of the span that have not come (yet)."""
        return max(0, self.span - self.received)

    def handle_sequences(self, sequences: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of `sequences` are here for the first time."""
        if not len(sequences):
            return np.zeros(0, dtype=np.bool_)
        if self._before_first is None:
            later = sequences[sequences > self.highest]
            if not len(later):
                self.late += len(sequences)
                return np.zeros(len(sequences), dtype=np.bool_)
            self._before_first = self.highest = int(later.min()) - 1
        if in_order(sequences, self.highest):
            self.handle_ordered(sequences)
            return np.ones(len(sequences), dtype=np.bool_)
        self._advance(int(sequences.max()))
        oldest = max(self.highest - WINDOW_PACKETS, self._before_first)
        in_window = sequences > oldest
        places = sequences & _WINDOW_MASK
        fresh: NDArray[np.bool_] = in_window & ~self._seen[places]
        if len(sequences) > 1:
            _, first = np.unique(sequences, return_index=True)
            if len(first) < len(sequences):
                once = np.zeros(len(sequences), dtype=np.bool_)
                once[first] = True
                fresh &= once
        self._seen[places[fresh]] = True
        count = int(fresh.sum())
        late = len(sequences) - int(in_window.sum())
        self.received += count
        self.late += late
        self.repeated += len(sequences) - count - late
        return fresh

    def handle_ordered(self, sequences: NDArray[np.int64]) -> None:
        """The usual train: each later than all before, as trust.in_order says, so that all are here for the first
        time."""
        if self._before_first is None:
            self._before_first = self.highest = int(sequences[0]) - 1
        self._advance(int(sequences[-1]))
        self._seen[sequences & _WINDOW_MASK] = True
        self.received += len(sequences)

    def handle_sequence(self, sequence: int) -> bool:
        """The same for one packet."""
        return bool(self.handle_sequences(np.array([sequence], dtype=np.int64))[0])

    def _advance(self, highest: int) -> None:
        """Forget what the window leaves behind."""
        step = highest - self.highest
        if step <= 0:
            return
        if step >= WINDOW_PACKETS:
            self._seen[:] = False
        else:
            start, stop = (self.highest + 1) % WINDOW_PACKETS, (highest + 1) % WINDOW_PACKETS
            if start < stop:
                self._seen[start:stop] = False
            else:
                self._seen[start:] = False
                self._seen[:stop] = False
        self.highest = highest
