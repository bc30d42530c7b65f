"""When a cast begins: at once, with so many clients, after the longest wait, at a given time, or what comes first.

Waiting is seldom worth it: who joins later gets what it lacks without a second run for the others. It is there for
operators who want a room to be seen starting together, and for OpenGnsys' option string.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.errors import UsageError

__all__ = ["DAY_S", "StartGate", "StartPolicy", "parse_time_of_day"]

DAY_S = 86_400.0
DEFAULT_WAIT_S = 60.0
"""Longest wait for a number of clients where none is given: the one that stays away must not keep the others."""


def parse_time_of_day(text: str) -> float | None:
    """`22:30` or `22:30:15` as seconds since midnight; None for an empty text. UsageError for anything else."""
    if not text:
        return None
    match = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?", text)
    if match is None:
        raise UsageError(f"time of day {text[:32]!a}", hint="write 22:30")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPolicy:
    """Begin when the first of the conditions that are set is true; none set means at once."""

    clients: int = 0
    """So many members are there; 0: not set."""
    wait_s: float = 0.0
    """Longest wait after the first member came; 0: not set."""
    time_of_day_s: float | None = None
    """Seconds since midnight, local time; the first such time after the cast was made."""

    @property
    def at_once(self) -> bool:
        """True if nothing is waited for."""
        return self.clients < 2 and self.wait_s <= 0 and self.time_of_day_s is None

    @property
    def longest_wait_s(self) -> float:
        """Longest wait after the first member; infinite where only the time of day counts."""
        if self.wait_s > 0:
            return self.wait_s
        return DEFAULT_WAIT_S if self.clients and self.time_of_day_s is None else float("inf")


class StartGate:
    """Decides for one cast. Once open it stays open.

    `now` is a monotonic clock; the wall clock is only asked for the time of day, so that a clock that jumps can start
    a cast early or late and nothing else.
    """

    def __init__(self, policy: StartPolicy, *, wall_s: float) -> None:
        """`wall_s`: seconds since midnight, local time."""
        self._policy = policy
        self._last_wall_s = wall_s
        self._first_member: float | None = None
        self.open = policy.at_once

    def poll_open(self, now: float, *, wall_s: float, members: int) -> bool:
        """True as soon as the cast may send."""
        before, self._last_wall_s = self._last_wall_s, wall_s
        if self.open:
            return True
        if not members:
            self._first_member = None
        elif self._first_member is None:
            self._first_member = now
        policy = self._policy
        if 0 < policy.clients <= members:
            self.open = True
        if self._first_member is not None and now - self._first_member >= policy.longest_wait_s:
            self.open = True
        if policy.time_of_day_s is not None and _passed(policy.time_of_day_s, before, wall_s):
            self.open = True
        return self.open

    def wait(self, now: float) -> tuple[int, float | None]:
        """(clients waited for or 0, seconds until the longest wait is over or None)."""
        policy = self._policy
        left = None
        if self._first_member is not None and policy.longest_wait_s != float("inf"):
            left = max(0.0, self._first_member + policy.longest_wait_s - now)
        return policy.clients, left

    def reason(self, now: float, *, members: int) -> str:
        """What is waited for, for the operator; empty when nothing is."""
        if self.open:
            return ""
        policy, parts = self._policy, []
        if policy.clients:
            parts.append(f"{members} of {policy.clients} clients")
        left = self.wait(now)[1]
        if left is not None:
            parts.append(f"at most {left:.0f} s more")
        if policy.time_of_day_s is not None:
            minutes = int(policy.time_of_day_s) // 60
            parts.append(f"{'or ' if parts else ''}until {minutes // 60:02d}:{minutes % 60:02d}")
        return "waiting: " + ", ".join(parts)


def _passed(mark: float, before: float, now: float) -> bool:
    """True if the clock went over `mark` between two looks. A step of more than half a day is a clock set back."""
    step = (now - before) % DAY_S
    return step < DAY_S / 2 and 0 < (mark - before) % DAY_S <= step
