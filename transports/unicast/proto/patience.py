"""Patience: how long a serving lane waits for its peer, and for what."""

from __future__ import annotations

import msgspec

__all__ = ["LaneTimes", "Patience"]


class LaneTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long a lane may do nothing."""

    handshake_s: float = 10.0
    """From connection to a proven session, whatever trickles in."""
    idle_s: float = 60.0
    """Without a byte from the peer and without one accepted by it."""
    write_s: float = 30.0
    """With something to send that the peer does not take."""


class Patience:
    """Three clocks: one for strangers, one for silence, one for a peer that does not read."""

    def __init__(self, times: LaneTimes, now: float) -> None:
        self._times = times
        self._started = now
        self._heard = now
        self._blocked: float | None = None
        self.proven = False
        """The peer proved its session: it is no stranger any more."""
        self.ending = False
        """The last frame was handed out; only its being taken is awaited."""

    def handle_heard(self, now: float) -> None:
        """The peer sent bytes."""
        self._heard = now

    def handle_progress(self, now: float) -> None:
        """The peer took bytes."""
        self._blocked = None
        self._heard = now

    def handle_blocked(self, now: float) -> None:
        """There is something to send and the peer takes none."""
        if self._blocked is None:
            self._blocked = now

    @property
    def deadline(self) -> float:
        """When `expired` may say something."""
        if not self.proven:
            quiet = self._started + self._times.handshake_s
        elif self._blocked is None:
            quiet = self._heard + self._times.idle_s
        else:
            quiet = float("inf")  # it cannot be heard from: what it wants to say may sit behind what it does not read
        if self.ending:
            quiet = float("inf")
        return quiet if self._blocked is None else min(quiet, self._blocked + self._times.write_s)

    @property
    def write_expired_at(self) -> float:
        """When a peer that takes nothing is dropped without a word."""
        return float("inf") if self._blocked is None else self._blocked + self._times.write_s

    @property
    def complaint(self) -> str:
        """What to tell a peer when the deadline has passed."""
        if not self.proven:
            return f"no session within {self._times.handshake_s:g} s"
        return f"silent for {self._times.idle_s:g} s"

    @property
    def write_complaint(self) -> str:
        """What to tell the operator of a peer that took nothing."""
        return f"took nothing for {self._times.write_s:g} s"
