"""Budgets of subnets: what the repository may send into each of them, on average.

As with the caps of peers, chunks go out at the speed of the link, and then nobody of that subnet is sent another until
the average is right again. Who waits is served in the order it came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from transports.member.proto.allowance import Allowance

__all__ = ["BURST_S", "SubnetBudgets"]

BURST_S = 0.25
"""What a subnet that took nothing lately may take at once, in seconds of its rate; a chunk begun is sent."""
KEPT_MAX = 1024
"""Subnets whose averages are remembered; those that nobody waits in are forgotten first."""


@dataclass(slots=True, eq=False)
class _Subnet:
    allowance: Allowance
    closed_until: float
    begun: int | None = None
    """The lane that may begin a chunk, whose size is not known yet."""
    waiting: dict[int, None] = field(default_factory=dict)


class SubnetBudgets:
    """Lanes are named by a number. A lane that may send asks again for each chunk. Pure: the caller says the time."""

    def __init__(self, *, bytes_per_s: float, exceptions: Mapping[str, float]) -> None:
        """`bytes_per_s` holds for each subnet that is not among the `exceptions`; 0: no limit."""
        self._default = bytes_per_s
        self._exceptions = dict(exceptions)
        self._subnets: dict[str, _Subnet] = {}
        self._places: dict[int, _Subnet] = {}
        """Lanes that wait, or may begin."""
        self._granted: deque[int] = deque()
        self.held_back = 0
        """Chunks after which a subnet had to wait."""

    @property
    def limited(self) -> bool:
        """There is a limit anywhere."""
        return self._default > 0 or any(self._exceptions.values())

    def ask(self, lane: int, subnet: str, now: float) -> bool:
        """`lane` has a chunk to send into `subnet`. True if it may; else it waits until `poll_granted` names it."""
        found = self._subnet(subnet, now)
        if found is None or found.begun == lane:
            return True
        if lane not in found.waiting:
            self.leave(lane, now)
            found.waiting[lane] = None
            self._places[lane] = found
        self._grant(found, now)
        if found.begun == lane:
            self._granted.remove(lane)
            return True
        return False

    def spend(self, lane: int, count: int, now: float) -> None:
        """`lane` began a chunk of `count` bytes; for the next it asks again."""
        found = self._places.get(lane)
        if found is None or found.begun != lane:
            return
        del self._places[lane]
        found.begun = None
        wait_s = found.allowance.spend(count, now)
        if wait_s > 0:
            found.closed_until = now + wait_s
            self.held_back += 1
        self._grant(found, now)

    def leave(self, lane: int, now: float) -> None:
        """It has nothing to send, or is gone; harmless when it neither waits nor may begin."""
        found = self._places.pop(lane, None)
        if found is not None:
            found.waiting.pop(lane, None)
            if found.begun == lane:
                found.begun = None
            self._grant(found, now)

    @property
    def opens_at(self) -> float:
        """When `handle_timer` has something to do."""
        closed = [each.closed_until for each in self._subnets.values() if each.waiting and each.begun is None]
        return min(closed, default=float("inf"))

    def handle_timer(self, now: float) -> None:
        """Call at `opens_at`; earlier is harmless."""
        for found in self._subnets.values():
            self._grant(found, now)

    def poll_granted(self) -> int | None:
        """A lane that may begin since it asked."""
        while self._granted:
            lane = self._granted.popleft()
            found = self._places.get(lane)
            if found is not None and found.begun == lane:
                return lane
        return None

    def _subnet(self, name: str, now: float) -> _Subnet | None:
        rate = self._exceptions.get(name, self._default)
        if not rate:
            return None
        if name not in self._subnets:
            if len(self._subnets) >= KEPT_MAX:
                idle = [other for other, found in self._subnets.items() if not found.waiting and found.begun is None]
                for other in idle[: len(self._subnets) // 2]:
                    del self._subnets[other]
            allowance = Allowance(rate=rate, burst=rate * BURST_S, now=now)
            self._subnets[name] = _Subnet(allowance=allowance, closed_until=now)
        return self._subnets[name]

    def _grant(self, found: _Subnet, now: float) -> None:
        if found.begun is None and found.waiting and now >= found.closed_until:
            found.begun = next(iter(found.waiting))
            del found.waiting[found.begun]
            self._granted.append(found.begun)
