"""When a receiver that hears nothing does something about it."""

from __future__ import annotations

import enum

__all__ = ["Alarm", "Silence"]

REJOIN_S = 1.0
"""Silence after which the group is left and joined again; a sender is never silent that long while anybody lacks."""
SILENT_S = 3.0
"""Silence after which the cast is given up."""


class Alarm(enum.Enum):
    """What the shell has to act upon."""

    REJOIN = "leave the group and join it again"
    SILENT = "nothing comes any more: go on by other means"
    CLOSING = "the sender ends the cast"


class Silence:
    """Counts the time since the last authentic packet."""

    def __init__(self, now: float) -> None:
        self._heard = now
        self._rejoin_at = now + REJOIN_S
        self.given_up = False
        """SILENT was said; packets that come all the same end it."""

    def handle_heard(self, now: float) -> None:
        """Something came."""
        self._heard = now
        self._rejoin_at = now + REJOIN_S
        self.given_up = False

    def due_at(self) -> float:
        """When `poll` may have something."""
        return float("inf") if self.given_up else min(self._rejoin_at, self._heard + SILENT_S)

    def poll(self, now: float) -> Alarm | None:
        """What to do now."""
        if now < self.due_at():
            return None
        if now >= self._heard + SILENT_S:
            self.given_up = True
            return Alarm.SILENT
        self._rejoin_at = now + REJOIN_S
        return Alarm.REJOIN
