"""Rests between turns: who lets its turns go by holds them from others, and waits before it is lent the next.

A turn that nobody needs is passed within a round trip. Who takes longer, and passes or says nothing, keeps a slot idle
for as long: what it held so since it last took a chunk in time, but for a tenth of the time that has passed, is repaid
several times over. Counted by member, since one that connects again is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FORGIVEN", "IN_TIME_S", "MEMBERS_MAX", "REST_MAX_S", "REST_TIMES", "Rests"]

IN_TIME_S = 0.5
"""Who says within this time what it takes has wasted nothing, and begins anew; as much may be wasted without a rest."""
FORGIVEN = 0.1
"""Of the time that passes so much may be wasted: in a crowd many turns are passed, each after a round trip."""
REST_TIMES = 4
"""What was wasted beyond, so many times, is the rest …"""
REST_MAX_S = 30.0
"""… and this at most."""
MEMBERS_MAX = 1024
"""Remembered; beyond, those whose rest ended first are forgotten."""


@dataclass(slots=True)
class _Waste:
    seconds: float
    at: float
    until: float


class Rests:
    """By member."""

    def __init__(self) -> None:
        self._wasted: dict[int, _Waste] = {}
        self.rests = 0
        """Times a member had to rest."""

    def until(self, member: int) -> float:
        """When it may be lent a turn again; in the past for most."""
        waste = self._wasted.get(member)
        return float("-inf") if waste is None else waste.until

    def handle_taken(self, member: int, held_s: float, now: float) -> None:
        """It said what it takes, after `held_s`."""
        if held_s <= IN_TIME_S:
            self._wasted.pop(member, None)
        else:
            self.handle_wasted(member, held_s, now)

    def handle_wasted(self, member: int, held_s: float, now: float) -> None:
        """It passed its turn after `held_s`, or lost it."""
        before = self._wasted.pop(member, None)
        left_s = 0.0 if before is None else max(0.0, before.seconds - FORGIVEN * (now - before.at))
        seconds = left_s + held_s
        rest_s = min(REST_MAX_S, REST_TIMES * max(0.0, seconds - IN_TIME_S))
        self.rests += rest_s > 0
        if len(self._wasted) >= MEMBERS_MAX:
            del self._wasted[min(self._wasted, key=lambda each: self._wasted[each].until)]
        self._wasted[member] = _Waste(seconds=seconds, at=now, until=now + rest_s)
