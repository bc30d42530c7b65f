"""Upload slots of a peer: who is sent to now. A few at a time, each chunk by chunk, who has least to give first.

Whoever holds little has an idle link; a chunk it gets is passed on, where one for somebody who holds much is one more
of many. Among equals the least served is first, and every FAIR_EVERYth turn is that of the one that waits longest, so
that those who have much, or are no neighbours, wait but do not starve.

With all receivers at once each chunk would take as many times as long, and could be passed on by nobody meanwhile. In a
small room that matters at the end alone.
A cap on what is sent holds back slots, not bytes: a chunk goes out at the speed of the link, and then nobody is lent
a slot until the average is right again. Receivers in other subnets may have a cap of their own, below that of all.

A slot may be lent as a turn, to who does not say yet what it takes. Who lets turns go by rests (`rests`).
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable

from transports.member.proto.allowance import Allowance
from transports.p2p.proto.crowd import SENDING
from transports.p2p.proto.rests import Rests

__all__ = ["BURST_S", "SLOTS", "TELL_AFTER_S", "TELL_AGAIN_S", "UploadSlots"]

SLOTS = 10
FAIR_EVERY = 4
"""Of so many turns one goes by waiting alone."""
ENDING_CHUNKS = 8
"""When no receiver lacks more, a peer of a small room sends to few at a time, too: what only it has is there sooner,
and whoever has it helps with the rest, instead of all waiting for one uplink that seven share …"""
ENDING_SLOTS = 4
"""… to so many."""
TELL_AFTER_S = 0.05
"""A receiver that waits for so long is told its place, so that it asks somebody who has nothing to do …"""
TELL_AGAIN_S = 0.5
"""… and told again this often at most when that changed …"""
TELL_STILL_S = 1.0
"""… and this often when it did not, so that it does not think this peer dead."""

BURST_S = 0.25
"""What a capped peer that was quiet may send at once, in seconds of its rate, before the chunk that goes beyond."""


class _Cap:
    """What may be sent on average. One chunk at a time is begun, until its size is known."""

    def __init__(self, bytes_per_s: int, now: float) -> None:
        self._allowance = Allowance(rate=bytes_per_s, burst=bytes_per_s * BURST_S, now=now)
        self.closed_until = now

    def spend(self, count: int, now: float) -> bool:
        """A chunk was begun. True if nobody may begin another for a while."""
        wait_s = self._allowance.spend(count, now)
        if wait_s > 0:
            self.closed_until = now + wait_s
        return wait_s > 0


class UploadSlots:
    """Lanes are named by a number. A slot is lent for one chunk: whoever wants to send another asks again."""

    def __init__(
        self,
        slots: int = SLOTS,
        *,
        bytes_per_s: int = 0,
        far_bytes_per_s: int = 0,
        rank: Callable[[int], int] = lambda lane: 0,
        member: Callable[[int], int | None] = lambda lane: lane,
        chunks: int = 0,
        now: float = 0.0,
    ) -> None:
        """`bytes_per_s` caps what is sent in all, on average, `far_bytes_per_s` what is sent to other subnets; 0: no
        cap. `rank` says how many chunks the one at a lane holds, more than there are where nobody knows: it is asked
        whenever a slot is lent. `member` says who is at a lane, None of who proved nothing. `chunks` is how many there
        are; 0: not known."""
        self._rank = rank
        self._chunks = chunks
        self._ending_at = chunks - ENDING_CHUNKS if chunks else math.inf
        """Chunks that everybody holds when it ends."""
        self._member = member
        self.rests = Rests()
        self._turns: dict[int, tuple[int, float]] = {}
        """Lanes whose slot was lent as a turn: to whom, and when it learned that."""
        self._resting: dict[int, float] = {}
        """Lanes that wait for a turn and are lent none before."""
        self._lent = 0
        self.slots = slots
        """Receivers at a time; where more are connected, SENDING at most."""
        self._cap = _Cap(bytes_per_s, now) if bytes_per_s else None
        self._far_cap = _Cap(far_bytes_per_s, now) if far_bytes_per_s else None
        self._far: set[int] = set()
        self._active: dict[int, bool] = {}
        self._waiting: dict[int, float] = {}
        self._told: dict[int, tuple[int, float]] = {}
        """Place in the queue, and when that was said."""
        self._served: Counter[int] = Counter()
        self._granted: deque[int] = deque()
        self.waited = 0
        """Times a lane had to wait."""
        self.held_back = 0
        """Chunks after which a cap let nobody send for a while."""

    @property
    def waiting(self) -> int:
        """Lanes in the queue, without those that rest."""
        return sum(lane not in self._resting for lane in self._waiting)

    @property
    def active(self) -> int:
        """Lanes that send."""
        return len(self._active)

    @property
    def opens_at(self) -> float | None:
        """When `handle_timer` lends what the cap holds back; None when nobody waits for that."""
        if not self._waiting or len(self._active) >= self._places:
            return None
        opening = [
            max([self._resting.get(lane, 0.0), *(cap.closed_until for cap in caps)])
            for lane in self._waiting
            if ((caps := self._caps_of(lane)) or lane in self._resting)
            and not any(self._is_unspent(cap) for cap in caps)
        ]
        return min(opening, default=None)

    @property
    def is_crowd(self) -> bool:
        """More are connected than could be sent to at a time."""
        return len(self._served) > self.slots

    @property
    def _places(self) -> int:
        if self.is_crowd:
            return min(self.slots, SENDING)
        return min(self.slots, ENDING_SLOTS) if self._is_ending else self.slots

    @property
    def _is_ending(self) -> bool:
        return bool(self._served) and all(self._ending_at <= self._rank(lane) <= self._chunks for lane in self._served)

    def join(self, lane: int) -> None:
        """A new lane counts as served as much as the least served one: it has no claim on the past."""
        self._served[lane] = min(self._served.values(), default=0)

    def ask(self, lane: int, now: float, *, far: bool = False, turn: bool = False) -> bool:
        """`lane` has a chunk to send, to another subnet if `far`; with `turn`, it says which when it may. True if it
        may; else it waits, and `poll_granted` names it later."""
        if far:
            self._far.add(lane)
        if turn and lane in self._turns:
            self.leave(lane, now)  # passed, and asked for the next in one breath
        self._end_turn(lane, now, taken=True)
        member = self._member(lane) if turn else None
        self._resting.pop(lane, None)
        if member is not None and (until := self.rests.until(member)) > now:
            self._resting[lane] = until
        if not self._may_send(lane, now):
            return False
        if member is not None:
            self._turns[lane] = (member, now)
        return True

    def _may_send(self, lane: int, now: float) -> bool:
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
        # Each cap counts what is sent, whatever the other says.
        closed = [cap.spend(count, now) for cap in self._caps_of(lane)]
        self.held_back += any(closed)
        self._grant(now)

    def leave(self, lane: int, now: float) -> None:
        """It has nothing to send."""
        self._end_turn(lane, now, taken=False)
        self._resting.pop(lane, None)
        self._active.pop(lane, None)
        self._waiting.pop(lane, None)
        self._told.pop(lane, None)
        self._grant(now)

    def forget(self, lane: int, now: float) -> None:
        """It is closed."""
        self.leave(lane, now)
        self._served.pop(lane, None)
        self._far.discard(lane)

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
            before, told_at = self._told.get(lane, (0, now - TELL_AGAIN_S))
            pause_s = TELL_AGAIN_S if before != place else TELL_STILL_S
            if now >= self._waiting[lane] + TELL_AFTER_S and now >= told_at + pause_s:
                self._told[lane] = (place, now)
                notices.append((lane, place))
        return notices

    def _end_turn(self, lane: int, now: float, *, taken: bool) -> None:
        if (lent := self._turns.pop(lane, None)) is not None:
            member, since = lent
            (self.rests.handle_taken if taken else self.rests.handle_wasted)(member, now - since, now)

    def _order(self) -> list[int]:
        return sorted(self._waiting, key=self._claim)

    def _claim(self, lane: int) -> tuple[int, int, float]:
        """The lowest is first."""
        return self._rank(lane), self._served[lane], self._waiting[lane]

    def _caps_of(self, lane: int) -> list[_Cap]:
        """What limits what goes to `lane`."""
        caps = (self._cap, self._far_cap if lane in self._far else None)
        return [cap for cap in caps if cap is not None]

    def _is_unspent(self, cap: _Cap) -> bool:
        """A slot is lent on `cap`, and its chunk not counted yet."""
        return any(not spent and cap in self._caps_of(lane) for lane, spent in self._active.items())

    def _may_begin(self, lane: int, now: float) -> bool:
        if now < self._resting.get(lane, now):
            return False
        return all(now >= cap.closed_until and not self._is_unspent(cap) for cap in self._caps_of(lane))

    def _grant(self, now: float) -> None:
        while self._waiting and len(self._active) < self._places:
            able = [lane for lane in self._waiting if self._may_begin(lane, now)]
            if not able:
                return
            self._lent += 1
            fair = self._lent % FAIR_EVERY == 0
            lane = min(able, key=self._waiting.__getitem__) if fair else min(able, key=self._claim)
            del self._waiting[lane]
            self._told.pop(lane, None)
            self._active[lane] = False
            self._granted.append(lane)
