"""Upload slots of a peer: who is sent to now. A few at a time, each chunk by chunk, the least served first.

With all receivers at once each chunk would take as many times as long, and could be passed on by nobody meanwhile.
A cap on what is sent holds back slots, not bytes: a chunk goes out at the speed of the link, and then nobody is lent
a slot until the average is right again.
"""

from __future__ import annotations

from collections import Counter, deque

from transports.p2p.proto.allowance import Allowance

__all__ = ["BURST_S", "SLOTS", "TELL_AFTER_S", "UploadSlots"]

SLOTS = 10
TELL_AFTER_S = 0.5
"""A receiver that waits for so long is told its place, so that it does not think this peer dead."""

BURST_S = 0.25
"""What a capped peer that was quiet may send at once, in seconds of its rate, before the chunk that goes beyond."""


class UploadSlots:
    """Lanes are named by a number. A slot is lent for one chunk: whoever wants to send another asks again."""

    def __init__(self, slots: int = SLOTS, *, bytes_per_s: int = 0, now: float = 0.0) -> None:
        """`bytes_per_s` caps what is sent in all, on average; 0: no cap."""
        self.slots = slots
        """Receivers at a time."""
        self._cap = Allowance(rate=bytes_per_s, burst=bytes_per_s * BURST_S, now=now) if bytes_per_s else None
        self._closed_until = now
        self._active: dict[int, bool] = {}
        self._waiting: dict[int, float] = {}
        self._told: dict[int, int] = {}
        self._served: Counter[int] = Counter()
        self._granted: deque[int] = deque()
        self.waited = 0
        """Times a lane had to wait."""
        self.held_back = 0
        """Chunks after which the cap let nobody send for a while."""

    @property
    def waiting(self) -> int:
        """Lanes in the queue."""
        return len(self._waiting)

    @property
    def active(self) -> int:
        """Lanes that send."""
        return len(self._active)

    @property
    def opens_at(self) -> float | None:
        """When `handle_timer` lends what the cap holds back; None when nobody waits for that."""
        held_back = self._cap is not None and self._waiting and len(self._active) < self.slots and not self._unspent
        return self._closed_until if held_back else None

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
        self._grant(now)
        if self._active.get(lane) is False:
            self._granted.remove(lane)
            return True
        self.waited += 1
        return False

    def spend(self, lane: int, count: int, now: float) -> None:
        """`lane` began a chunk of `count` bytes: its slot ends with it."""
        if lane in self._active:
            self._active[lane] = True
        self._served[lane] += count
        if self._cap is not None and (wait_s := self._cap.spend(count, now)) > 0:
            self._closed_until = now + wait_s
            self.held_back += 1
        self._grant(now)

    def leave(self, lane: int, now: float) -> None:
        """It has nothing to send."""
        self._active.pop(lane, None)
        self._waiting.pop(lane, None)
        self._told.pop(lane, None)
        self._grant(now)

    def forget(self, lane: int, now: float) -> None:
        """It is closed."""
        self.leave(lane, now)
        self._served.pop(lane, None)

    def handle_timer(self, now: float) -> None:
        """Call at `opens_at`; earlier is harmless."""
        self._grant(now)

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

    @property
    def _unspent(self) -> bool:
        """A slot is lent and its chunk not counted yet."""
        return any(not spent for spent in self._active.values())

    def _grant(self, now: float) -> None:
        while self._waiting and len(self._active) < self.slots:
            if self._cap is not None and (now < self._closed_until or self._unspent):
                return
            lane = min(self._waiting, key=lambda lane: (self._served[lane], self._waiting[lane]))
            del self._waiting[lane]
            self._told.pop(lane, None)
            self._active[lane] = False
            self._granted.append(lane)
