"""Upload slots of a peer: who is sent to now. A few at a time, each chunk by chunk, the least served first.

With all receivers at once each chunk would take as many times as long, and could be passed on by nobody meanwhile.
"""

from __future__ import annotations

from collections import Counter, deque

__all__ = ["SLOTS", "TELL_AFTER_S", "UploadSlots"]

SLOTS = 10
TELL_AFTER_S = 0.5
"""A receiver that waits for so long is told its place, so that it does not think this peer dead."""


class UploadSlots:
    """Lanes are named by a number. A slot is lent for one chunk: whoever wants to send another asks again."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._active: dict[int, bool] = {}
        self._waiting: dict[int, float] = {}
        self._told: dict[int, int] = {}
        self._served: Counter[int] = Counter()
        self._granted: deque[int] = deque()
        self.waited = 0
        """Times a lane had to wait."""

    @property
    def waiting(self) -> int:
        """Lanes in the queue."""
        return len(self._waiting)

    @property
    def active(self) -> int:
        """Lanes that send."""
        return len(self._active)

    def join(self, lane: int) -> None:
        """A new lane counts as served as much as the least served one: it has no claim on the past."""
        self._served[lane] = min(self._served.values(), default=0)

    def ask(self, lane: int, now: float) -> bool:
        """`lane` has a chunk to send. True if it may; else it waits, and `poll_granted` names it later."""
        spent = self._active.get(lane)
        if spent is False:
            return True
        if spent:
            del self._active[lane]
        if lane not in self._waiting:
            self._waiting[lane] = now
        self._grant()
        if self._active.get(lane) is False:
            self._granted.remove(lane)
            return True
        self.waited += 1
        return False

    def spend(self, lane: int, count: int) -> None:
        """`lane` began a chunk of `count` bytes: its slot ends with it."""
        if lane in self._active:
            self._active[lane] = True
        self._served[lane] += count

    def leave(self, lane: int) -> None:
        """It has nothing to send."""
        self._active.pop(lane, None)
        self._waiting.pop(lane, None)
        self._told.pop(lane, None)
        self._grant()

    def forget(self, lane: int) -> None:
        """It is closed."""
        self.leave(lane)
        self._served.pop(lane, None)

    def poll_granted(self) -> int | None:
        """A lane that may send since it asked."""
        while self._granted:
            lane = self._granted.popleft()
            if self._active.get(lane) is False:
                return lane
        return None

    def poll_notices(self, now: float) -> list[tuple[int, int]]:
        """(lane, place in the queue) of those to be told."""
        notices: list[tuple[int, int]] = []
        for place, lane in enumerate(self._order(), start=1):
            if now >= self._waiting[lane] + TELL_AFTER_S and self._told.get(lane) != place:
                self._told[lane] = place
                notices.append((lane, place))
        return notices

    def _order(self) -> list[int]:
        return sorted(self._waiting, key=lambda lane: (self._served[lane], self._waiting[lane]))

    def _grant(self) -> None:
        while self._waiting and len(self._active) < self._slots:
            lane = min(self._waiting, key=lambda lane: (self._served[lane], self._waiting[lane]))
            del self._waiting[lane]
            self._told.pop(lane, None)
            self._active[lane] = False
            self._granted.append(lane)
