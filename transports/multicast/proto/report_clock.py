"""When a member reports: so that a thousand of them do not bury the sender, and the end is not waited for."""

from __future__ import annotations

import random

__all__ = ["END_PAUSE_MAX_S", "MEMBERS_PER_S", "REPORT_S", "ReportClock"]

REPORT_S = 0.1
"""The interval of up to seventy members."""
MEMBERS_PER_S = 700
"""Reports a second of all members together; chance and the end of an image keep them below 1000."""
ALIVE_S = 2.0
"""A member that lacks nothing, or waits, still says how it is doing."""
JITTER = 0.3
EMPTY_WAIT = 0.25
"""Share of the interval after which to look again when nothing was old enough to report."""
EMPTY_WAIT_CROWD = 0.7
"""The same in a crowd: when a cast begins all of it has nothing to say, and then all has, within so long."""
END_PAUSE_MAX_S = 0.05
"""Where nothing comes unasked: who asked does so again after this, however long a trip was measured to take, most of
which is a wait in the member's own socket. What is under way is not sent twice for that. In a crowd it is as long as
all members together need to report."""


class ReportClock:
    """The next moment to report, from the interval the sender names and a seeded source of chance."""

    def __init__(self, *, interval_s: float, rng: random.Random, now: float) -> None:
        self._rng = rng
        self._interval_s = interval_s
        self._last = now
        self._next = now + interval_s * rng.random()
        self._urgent = False

    @property
    def often(self) -> bool:
        """Whether reports come at the shortest interval, so that one more of each member is no burden: in a crowd
        somebody always lacks something, and says so."""
        return self._interval_s <= REPORT_S

    def handle_interval(self, interval_s: float) -> None:
        """The sender said how often it wants to hear of each member."""
        self._interval_s = interval_s

    def handle_end(self, *, members: int, pause_s: float, now: float) -> None:
        """Nothing more will come unless somebody asks: report as soon as the size of the group allows.

        `pause_s` after the last report, or END_PAUSE_MAX_S, must be over: what that one asked for may be on its way.
        """
        if not self._urgent:
            crowd_s = members / MEMBERS_PER_S
            pause_s = min(pause_s, max(END_PAUSE_MAX_S, crowd_s))
            soon = max(now, self._last + pause_s) + self._rng.random() * crowd_s
            if soon < self._next:
                self._next = soon
                self._urgent = True

    def due_at(self, *, lacking: bool) -> float:
        """When `poll` may say yes."""
        return self._next if lacking else self._last + ALIVE_S

    def handle_sent(self, now: float) -> None:
        """A report went out."""
        self._last = now
        self._urgent = False
        self._next = now + self._interval_s * self._rng.uniform(1 - JITTER, 1 + JITTER)

    def handle_nothing(self, now: float) -> bool:
        """Nothing was worth reporting when it was due; True if it is time to show life all the same."""
        self._urgent = False
        self._next = now + self._interval_s * (EMPTY_WAIT if self.often else EMPTY_WAIT_CROWD)
        return now >= self._last + ALIVE_S
