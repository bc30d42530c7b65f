"""How fast a cast sends: a token bucket, a rule that adapts its rate to the group, shares of a common budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Pace", "RateControl", "RateLimits", "share_budget"]

BURST_S = 0.003
"""What one train may hold of the rate: short enough for the buffers of a switch."""
SLACK_S = 0.01
"""What may be caught up after the sender was late."""

EVERY_S = 0.25
LOSS_HIGH = 0.005
LOSS_LOW = 0.001
BACKLOG_HIGH = 0.75
SLOWER = 0.85
FASTER_OF_CAP = 0.03
USELESS_STEPS = 3
"""Reductions without effect after which loss is taken for a property of the wire."""
STILL_LOST = 0.7


class Pace:
    """A token bucket in wire bytes; its debt is paid by waiting."""

    def __init__(self, rate_bytes_per_s: float, now: float) -> None:
        self.rate_bytes_per_s = rate_bytes_per_s
        """May be set at any time."""
        self._free_at = now

    def ready_at(self) -> float:
        """When the next train may go."""
        return self._free_at

    def burst_packets(self, packet_wire_bytes: int, most: int) -> int:
        """Packets one train may have at this rate."""
        return max(1, min(most, int(self.rate_bytes_per_s * BURST_S / packet_wire_bytes)))

    def spend(self, wire_bytes: int, now: float) -> None:
        """This much goes out now."""
        self._free_at = max(self._free_at, now - SLACK_S) + wire_bytes / self.rate_bytes_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What the operator allows."""

    cap_bytes_per_s: float
    """Wire bytes a second, headers included."""
    adaptive: bool = False
    """Follow the loss and the disks of the group below the cap."""
    floor_bytes_per_s: float = 1_000_000
    """Least rate of an adaptive cast: one bad room must not stop it."""


class RateControl:
    """The rate that a group bears. Quantiles, never the worst member: one bad cable must not slow a room."""

    def __init__(self, limits: RateLimits, now: float) -> None:
        self._limits = limits
        self._share = limits.cap_bytes_per_s
        self._rate = limits.cap_bytes_per_s
        self._next = now + EVERY_S
        self._steps = 0
        self._loss_at_first_step = 0.0
        self._ground = 0.0
        self.limited_by = "cap"
        """What holds the rate: `cap`, `share`, `loss` or `disk`."""

    @property
    def rate_bytes_per_s(self) -> float:
        """The rate now."""
        return min(self._rate, self._share)

    def due(self, now: float) -> bool:
        """Whether `handle_group` would do anything."""
        return self._limits.adaptive and now >= self._next

    def handle_share(self, rate_bytes_per_s: float) -> None:
        """Other casts leave this much of the common budget."""
        self._share = min(rate_bytes_per_s, self._limits.cap_bytes_per_s)
        self._name(self.limited_by)

    def handle_group(self, *, loss: float, backlog: float, now: float) -> None:
        """The 75th percentile of network loss and of the share of chunk memory waiting for disks."""
        if not self.due(now):
            return
        self._next = now + EVERY_S
        cap = self._limits.cap_bytes_per_s
        self._ground = min(self._ground, loss)
        if loss - self._ground > LOSS_HIGH:
            self._slower_for_loss(loss)
        elif backlog > BACKLOG_HIGH:
            self._rate = max(self._limits.floor_bytes_per_s, self._rate * SLOWER)
            self._name("disk")
        elif loss - self._ground < LOSS_LOW:
            self._steps = 0
            self._rate = min(cap, self._rate + FASTER_OF_CAP * cap)
            if self._rate >= cap:
                self._name("cap")

    def _slower_for_loss(self, loss: float) -> None:
        if self._steps == 0:
            self._loss_at_first_step = loss
        elif self._steps >= USELESS_STEPS and loss > STILL_LOST * self._loss_at_first_step:
            # Going slower did not help: the wire loses that much at any rate.
            self._ground, self._steps = loss, 0
            return
        self._steps += 1
        self._rate = max(self._limits.floor_bytes_per_s, self._rate * SLOWER)
        self._name("loss")

    def _name(self, cause: str) -> None:
        self.limited_by = "share" if self._share < self._rate else cause


def share_budget(total: float, caps: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Max-min fair shares of `total` by weight, none above its cap."""
    shares = [0.0] * len(caps)
    open_ones = [index for index in range(len(caps)) if weights[index] > 0]
    left = total
    while open_ones:
        unit = left / sum(weights[index] for index in open_ones)
        full = [index for index in open_ones if caps[index] <= unit * weights[index]]
        if not full:
            for index in open_ones:
                shares[index] = unit * weights[index]
            break
        for index in full:
            shares[index] = caps[index]
            left -= caps[index]
        open_ones = [index for index in open_ones if index not in full]
    return shares
