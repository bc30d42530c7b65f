"""Claims: which lane is to bring which of the chunks a session lacks. No chunk has two.

Every lane is given its *share*, a want-map of its own, and knows nothing of the others. Chunks that leave the session's
want-map leave every share; what nobody claims waits until it is given to somebody.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from core.wantmap import WantMap

__all__ = ["Claims"]


class Claims:
    """`want` belongs to the session and is only read."""

    def __init__(self, want: WantMap) -> None:
        self._want = want
        self._shares: dict[str, WantMap] = {}
        self._owner: dict[int, str] = {}

    @property
    def lanes(self) -> list[str]:
        """Lanes that have a share, be it empty."""
        return list(self._shares)

    def share(self, lane: str) -> WantMap:
        """The share of a lane, made empty for one that has none yet. It changes as claims do."""
        if lane not in self._shares:
            self._shares[lane] = WantMap(self._want.count, full=False)
        return self._shares[lane]

    def owner(self, chunk: int) -> str | None:
        """Who is to bring `chunk`."""
        return self._owner.get(chunk)

    @property
    def unclaimed(self) -> list[int]:
        """Wanted chunks nobody is to bring, in rising order."""
        return [chunk for chunk in self._want if chunk not in self._owner]

    def give(self, lane: str, chunks: Iterable[int]) -> int:
        """Leave wanted chunks to a lane, whoever was to bring them until now; how many changed hands."""
        share, count = self.share(lane), 0
        for chunk in chunks:
            before = self._owner.get(chunk)
            if chunk not in self._want or before == lane:
                continue
            if before is not None:
                self._shares[before].discard(chunk)
            self._owner[chunk] = lane
            share.add(chunk)
            count += 1
        return count

    def discard(self, chunk: int) -> None:
        """The session has `chunk`."""
        lane = self._owner.pop(chunk, None)
        if lane is not None:
            self._shares[lane].discard(chunk)

    def close(self, lane: str) -> None:
        """The lane ended: what it did not bring is unclaimed."""
        share = self._shares.pop(lane, None)
        for chunk in share if share is not None else ():
            del self._owner[chunk]

    def tidy(self) -> None:
        """Drop what the session has by now without having said so."""
        owned = np.fromiter(self._owner, dtype=np.int64, count=len(self._owner))
        for chunk in owned[~self._want.flags[owned]].tolist():
            self.discard(chunk)
