"""When a cast speaks of itself: STATUS while it works, at once and with doubling pauses when it rests, and probes."""

from __future__ import annotations

__all__ = ["IDLE_LAST_S", "PROBES", "STATUS_S", "Announcer"]

STATUS_S = 0.1
IDLE_FIRST_S = 0.004
"""The first idle STATUS makes the losses at the end known; a copy soon after covers its own loss."""
IDLE_LAST_S = 0.5
"""Well below what a receiver takes for silence."""
PROBES = 16
PROBE_S = 0.03
"""Pause between two of them. A crowd that joins at once shares its probes."""


class Announcer:
    """The times of STATUS and PROBE packets of one cast."""

    def __init__(self, now: float) -> None:
        self._status_at = now
        self._gap = IDLE_FIRST_S
        self._idle = False
        self._probe_at = now
        self._probes_left = 0
        self._probes_sent = 0

    def handle_state(self, *, idle: bool, now: float) -> None:
        """There is work, or there is none: only a change matters."""
        if idle == self._idle:
            return
        self._idle = idle
        self._gap = IDLE_FIRST_S
        self._status_at = now if idle else now + STATUS_S

    def handle_urgent(self, now: float) -> None:
        """Something everybody must know."""
        self._status_at = now

    def handle_joined(self, now: float) -> None:
        """Somebody new counts probes from now on."""
        if not self._probes_left:
            self._probe_at = now
        self._probes_left = PROBES

    def next_at(self, *, status: bool) -> float:
        """When there is something to say; `status`: whether anybody needs a STATUS."""
        probe = self._probe_at if self._probes_left else float("inf")
        return min(probe, self._status_at) if status else probe

    def poll_probe(self, now: float) -> tuple[int, int] | None:
        """(how many were sent with this one, how many follow) of a probe to send now."""
        if not self._probes_left or now < self._probe_at:
            return None
        self._probe_at = now + PROBE_S
        self._probes_left -= 1
        self._probes_sent += 1
        return self._probes_sent, self._probes_left

    def poll_status(self, now: float) -> bool:
        """Whether a STATUS is to be sent now."""
        if now < self._status_at:
            return False
        if self._idle:
            self._status_at = now + self._gap
            self._gap = min(IDLE_LAST_S, 2 * self._gap)
        else:
            self._status_at = now + STATUS_S
        return True
