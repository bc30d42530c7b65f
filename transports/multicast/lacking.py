"""What a member lacks of a cast, kept in step with the want-map it was given."""

from __future__ import annotations

from collections import Counter

import numpy as np

from core.wantmap import WantMap
from transports.multicast.wants import flags_of

__all__ = ["REJECTIONS_MAX", "REJECTIONS_OF_CHUNK_MAX", "Lacking"]

REJECTIONS_OF_CHUNK_MAX = 2
"""Times one chunk may come wrong before this path is left: less often than a session bears from one source."""
REJECTIONS_MAX = 4
"""Times any chunks may: whoever holds the group's key, or anybody where packets carry no authenticator, can make every
chunk come wrong, and other paths cannot be reached so. Chunks of which symbols were taken on trust do not count:
who replaces packets on their way may spoil several at once, and trust is taken away then (proto.trust)."""


class Lacking:
    """Chunks that are to come over this path, those handed over and not judged, and those that cannot be had here."""

    def __init__(self, want: WantMap) -> None:
        self._want = want
        self.flags = flags_of(want)
        """One a chunk; only read by others."""
        self.open: set[int] = set()
        """Handed over, not judged."""
        self._rejections: Counter[int] = Counter()
        self._rejected_proven = 0
        self._unproven: set[int] = set()
        """Those of `open` of which symbols were taken on trust."""
        self._lost: dict[int, str] = {}
        self._good: set[int] = set()
        """Accepted here: the session takes them out of the map in its own time."""
        self._followed = want.changes
        """As many changes of the map are dealt with."""

    def __len__(self) -> int:
        return int(np.count_nonzero(self.flags))

    def __contains__(self, chunk: int) -> bool:
        return bool(self.flags[chunk])

    @property
    def settled(self) -> bool:
        """Nothing is to come, and nothing waits for a judgement."""
        return not self.open and not self.flags.any()

    @property
    def lost(self) -> dict[int, str]:
        """What cannot be had here and is wanted still, with the reason."""
        return {chunk: reason for chunk, reason in self._lost.items() if chunk in self._want}

    def hand_over(self, chunk: int, *, proven: bool = True) -> bool:
        """It is all there. False if nobody needs it: it is forgotten, unless an earlier copy is being judged. `proven`:
        all its symbols were authenticated."""
        if chunk in self.open:
            return False
        if not self.flags[chunk] or chunk not in self._want:
            self.forget(chunk)
            return False
        self.open.add(chunk)
        if not proven:
            self._unproven.add(chunk)
        return True

    def accept(self, chunk: int) -> bool:
        """It was good. True if it was lacking until now."""
        self.open.discard(chunk)
        self._unproven.discard(chunk)
        self._good.add(chunk)
        return self.forget(chunk)

    def reject(self, chunk: int) -> bool:
        """It was not what its digest says. True if this path has brought too much that was wrong."""
        self.open.discard(chunk)
        self._followed = -1  # it may have left the map while it was judged
        self._rejections[chunk] += 1
        self._rejected_proven += chunk not in self._unproven
        self._unproven.discard(chunk)
        return self._rejections[chunk] >= REJECTIONS_OF_CHUNK_MAX or self._rejected_proven >= REJECTIONS_MAX

    def lose(self, chunk: int, reason: str) -> bool:
        """It cannot be had here. True if it was lacking."""
        was = chunk in self
        if was:
            self._lost[chunk] = reason
            self.forget(chunk)
        return was

    def forget(self, chunk: int) -> bool:
        """Nothing of it is wanted over this path any more. True if it was lacking."""
        was = bool(self.flags[chunk])
        self.flags[chunk] = False
        return was

    def follow(self) -> tuple[list[int], list[int]]:
        """Chunks that left the want-map and chunks that came to it since the last call; both are dealt with here."""
        if self._followed == self._want.changes:
            return [], []
        self._followed = self._want.changes
        gone, new = [], []
        # few, though the image be large: those that are judged at this moment, and what others brought or left to us
        for chunk in np.flatnonzero(self._want.flags != self.flags).tolist():
            if chunk in self.open:
                continue
            if self.flags[chunk]:
                gone.append(chunk)
            elif chunk not in self._lost and chunk not in self._good:
                new.append(chunk)
        self.flags[gone] = False
        self.flags[new] = True
        return gone, new
