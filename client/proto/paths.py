"""Which of the offered transports a session takes its chunks from, and when it changes.

The repository's order counts: the method's own transport, then those to fall back to. A transport that cannot serve
this client is given up; one that asks for a rest (a lossy client, taken out of a group for the others' sake) is tried
again when the rest is over, as long as enough is lacking to be worth it. The want-map stays the same all along.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["RESTS_MAX", "WORTH_CHUNKS", "PathPolicy"]

RESTS_MAX = 3
"""Rests of one transport after which it is given up: it will not get better."""
WORTH_CHUNKS = 16
"""Going back for fewer lacking chunks costs more than it gains."""


class PathPolicy:
    """One session's choice."""

    def __init__(self, *, first: str, fallback: bool = True) -> None:
        """`first` is the transport of the method; without `fallback` no other is taken."""
        self.first = first
        self.fallback = fallback
        self._given_up: dict[str, str] = {}
        self._rest_until: dict[str, float] = {}
        self._rests: dict[str, int] = {}

    @property
    def given_up(self) -> dict[str, str]:
        """Transports that are not tried any more, and why."""
        return dict(self._given_up)

    def poll_choice(self, offered: Sequence[str], now: float) -> str | None:
        """The transport to take now; None if none is left."""
        able = [name for name in offered if self._allowed(name)]
        rested = [name for name in able if self._rest_until.get(name, now) <= now]
        return next(iter(rested or able), None)

    def is_able(self, name: str, now: float) -> bool:
        """It may be taken now: it was not given up, and does not rest."""
        return self._allowed(name) and self._rest_until.get(name, now) <= now

    def handle_given_up(self, name: str, reason: str) -> None:
        """It does not work for this client."""
        self._given_up[name] = reason

    def handle_rest(self, name: str, now: float, rest_s: float, reason: str) -> bool:
        """It asks not to be used for `rest_s` seconds, twice as long each time; False if it is given up instead."""
        count = self._rests[name] = self._rests.get(name, 0) + 1
        if count > RESTS_MAX:
            self.handle_given_up(name, reason)
            return False
        self._rest_until[name] = now + rest_s * 2.0 ** (count - 1)
        return True

    def handle_broken(self, name: str, now: float, pause_s: float) -> None:
        """Its connection broke: it may be tried again after `pause_s`, which is no rest that counts."""
        self._rest_until[name] = max(self._rest_until.get(name, now), now + pause_s)

    def _allowed(self, name: str) -> bool:
        return name not in self._given_up and (self.fallback or name == self.first)
