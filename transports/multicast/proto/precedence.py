"""Whether a cast's sender may go before all others of its machine: as long as it needs little of a processor.

A sender that sleeps between trains and wakes late leaves the wire at rest, which no other program of the machine can
make good. At rates at which it would be at work nearly all the time it would keep a processor from everybody else, the
rest of its own daemon among them; then it is late anyway, and has a larger share of it than others instead.
"""

from __future__ import annotations

__all__ = ["LOOK_S", "SHARE_BACK", "SHARE_MAX", "Precedence"]

SHARE_MAX = 0.4
"""Of one processor, that it needs at the rate of the moment; above it takes turns, for a larger share than others …"""
SHARE_BACK = 0.3
"""… and below this goes first again."""
LOOK_S = 0.1
LEAST_BYTES = 250_000
"""Fewer do not tell what a byte costs."""


class Precedence:
    """What a byte costs, seen over some time, at the rate of the moment: how much it *gets* would say that it needs
    little where others keep it from running."""

    def __init__(self, now: float) -> None:
        self.first = True
        """It goes first."""
        self._next = now + LOOK_S
        self._seen = (0.0, 0)

    def due(self, now: float) -> bool:
        """Whether `handle_cost` would look."""
        return now >= self._next

    def handle_cost(self, *, cpu_s: float, wire_bytes: int, rate_bytes_per_s: float, now: float) -> bool:
        """Running totals of processor time and bytes sent, and the rate; True when `first` changed."""
        self._next = now + LOOK_S
        cpu_before, bytes_before = self._seen
        count = wire_bytes - bytes_before
        if count < LEAST_BYTES:
            return False
        self._seen = (cpu_s, wire_bytes)
        needed = (cpu_s - cpu_before) / count * rate_bytes_per_s
        before = self.first
        self.first = needed <= (SHARE_MAX if before else SHARE_BACK)
        return self.first != before
