"""Turns on request, as the serving side of one lane keeps them: asked for, given, answered by a READ or passed."""

from __future__ import annotations

from core.errors import ProtocolError

__all__ = ["TURN_S", "UNANSWERED_MAX", "TurnTaking"]

TURN_S = 1.0
"""Who was given its turn says so long what it wants; then others are sent to."""
UNANSWERED_MAX = 3
"""Turns in a row to which nothing was said, before the lane ends: they are lost to those who wait."""


class TurnTaking:
    """Of one lane. Other lanes are not its concern: whoever lends turns says when this one has it."""

    def __init__(self) -> None:
        self._message: int | None = None
        """Of the TURN that waits for its answer."""
        self._until: float | None = None
        self._unanswered = 0
        self._unpassed = 0
        """Turns given that no PASS was said to; it may come after a READ that crossed the turn."""

    @property
    def asked(self) -> bool:
        """A turn is waited for."""
        return self._message is not None

    @property
    def held(self) -> bool:
        """The turn was given, and nothing was said yet."""
        return self._until is not None

    @property
    def deadline(self) -> float:
        """When `handle_timer` takes the turn back."""
        return float("inf") if self._until is None else self._until

    def handle_asked(self, message: int) -> None:
        """A TURN came. ProtocolError if another one waits or was given, and nothing was said to it."""
        if self._message is not None or self.held:
            raise ProtocolError("a second TURN before the first was answered")
        self._message = message

    def give(self, now: float) -> int:
        """It is its turn, which it asked for; returns the number of the message to answer."""
        assert self._message is not None
        message, self._message = self._message, None
        self._until = now + TURN_S
        self._unpassed += 1
        return message

    def handle_passed(self) -> None:
        """A PASS came, perhaps too late. ProtocolError if there are more of them than turns were given."""
        if not self._unpassed:
            raise ProtocolError("PASS of a turn that was not given")
        self._unpassed -= 1
        self.handle_answered()

    def handle_answered(self) -> None:
        """A READ came, perhaps too late."""
        self._until = None
        self._unanswered = 0

    def handle_timer(self, now: float) -> bool:
        """True when the lane is to end: its turns go by without a word."""
        if now >= self.deadline:
            self._until = None
            self._unanswered += 1
        return self._unanswered >= UNANSWERED_MAX

    def clear(self) -> None:
        """The lane ends."""
        self._message = self._until = None
