"""How fast a cast sends: a token bucket, a rule that adapts its rate to the group, shares of a common budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transports.multicast.proto.members import Members
from transports.multicast.proto.report_clock import MEMBERS_PER_S, REPORT_S

__all__ = ["SLACK_S", "Pace", "RateControl", "RateLimits", "share_budget"]

BURST_S = 0.003
"""What one train may hold of the rate: short enough for the buffers of a switch."""
SLACK_S = 0.05
"""What may be caught up after the sender was late: on a machine with much to do that happens, and a link that lies idle
meanwhile has lost its time for good. Spread out, it would take more of the sleeps that are late."""

EVERY_S = 0.25
QUANTILE = 0.75
"""Of what members say, the next below: in a room of two the better one counts, of three the middle one."""
LOSS_HIGH = 0.005
LOSS_LOW = 0.001
BACKLOG_HIGH = 0.75
BACKLOG_LOW = 0.4
"""What members are behind is seen at once, unlike what a wire loses: below this the rate comes back as it went."""
SLOWER = 0.85
FASTER = 0.02
FASTER_OF_CAP = 0.03
NOISE = 0.3
"""Loss above what the wire always loses counts only beyond this share of it: small samples differ by as much."""
SETTLE_OF_INTERVAL = 1.5
"""Times the interval of reports, whose chance is 30 %, after which all of them tell of a new rate."""
TRIAL_S = 0.25
ENOUGH_PACKETS = 1000
PATIENCE_S = 2.0
"""Loss is judged by so many packets at least, or after this time by what there is."""
REST_S = 10.0
"""After a trial in vain, loss is tried again only when it has grown, or after this time when it has not gone away."""


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
    """The rate that a group bears. Quantiles, never the worst member: one bad cable must not slow a room.

    Loss alone does not say whether it is too much for the way or lost on it at any rate. So a reduction is a trial:
    what is lost meanwhile says whether it helped. If not, the rate comes back at once, and that loss is the *ground*
    from which loss is counted. A way that is too narrow loses (1 - its rate / ours), a bad one what it always does.
    """

    def __init__(self, limits: RateLimits, now: float) -> None:
        self._limits = limits
        self._share = limits.cap_bytes_per_s
        self._rate = limits.cap_bytes_per_s
        self._next = now + EVERY_S
        self._ground = 0.0
        self._rest_until = now
        self._trial: _Trial | None = None
        self._settling = False
        self._counted_from = now
        self._packets_before = 0
        self._clean = 0
        """Looks in a row at which nothing was amiss."""
        self._cause = "cap"

    @property
    def rate_bytes_per_s(self) -> float:
        """The rate now."""
        return min(self._rate, self._share)

    @property
    def limited_by(self) -> str:
        """What holds the rate: `cap`, `share`, `loss` or `disk`."""
        return "share" if self._share < self._rate else self._cause

    def due(self, now: float) -> bool:
        """Whether `handle_group` would do anything."""
        return self._limits.adaptive and now >= self._next

    def handle_share(self, rate_bytes_per_s: float) -> None:
        """Other casts leave this much of the common budget."""
        self._share = min(rate_bytes_per_s, self._limits.cap_bytes_per_s)

    def follow(self, members: Members, packets_sent: int, now: float) -> None:
        """Look at the group when it is time; `packets_sent` is the running total of the cast."""
        if not self.due(now):
            return
        anew = self.handle_group(
            loss=members.fresh_loss(QUANTILE),
            packets=packets_sent - self._packets_before,
            backlog=members.quantile("backlog", QUANTILE, lower=True),
            settle_s=SETTLE_OF_INTERVAL * max(REPORT_S, len(members) / MEMBERS_PER_S),
            now=now,
        )
        if anew:
            members.count_anew(now)
            self._packets_before = packets_sent

    def handle_group(
        self, *, loss: float, packets: int, backlog: float, now: float, settle_s: float = SETTLE_OF_INTERVAL * REPORT_S
    ) -> bool:
        """Follow the group; True when the members' count of `packets` and `loss` is to begin anew.

        `packets` is how many were sent since the count began, `loss` the 75th percentile of what the network lost of
        them; `backlog` that of the share of chunk memory waiting for disks. Reports that come within
        `settle_s` of a change of the rate still tell of the time before it.
        """
        if not self.due(now):
            return False
        self._next = now + EVERY_S
        if self._settling:
            self._settling, self._counted_from = False, now
            self._next = now + TRIAL_S
            return True
        if packets < ENOUGH_PACKETS and now - self._counted_from < PATIENCE_S:
            if self._trial is None and backlog > BACKLOG_HIGH:
                self._slower(SLOWER, "disk")
            return False
        self._counted_from = now
        if self._trial is not None:
            self._judge(self._trial, loss, now)
            return True
        above = loss - self._ground
        self._ground = min(self._ground, max(loss, self._ground * (1 - NOISE)))
        noise = NOISE * min(self._ground, 1 - self._ground)
        grown = loss > 2 * self._ground + LOSS_HIGH or 1 - loss < (1 - self._ground) / 2
        if above > LOSS_HIGH + noise and (grown or now >= self._rest_until):
            self._try_slower(loss, settle_s, now)
        elif backlog > BACKLOG_HIGH:
            self._slower(SLOWER, "disk")
        elif above < LOSS_LOW + noise:
            if self._cause != "disk":
                self._faster()
            elif backlog < BACKLOG_LOW:
                self._rate = min(self._limits.cap_bytes_per_s, self._rate / SLOWER)
                if self._rate >= self._limits.cap_bytes_per_s:
                    self._cause = "cap"
        return True

    def _try_slower(self, loss: float, settle_s: float, now: float) -> None:
        before = self.rate_bytes_per_s
        # what comes through a way that is too narrow is its width: at that rate it loses nothing
        self._trial = trial = _Trial(loss=loss, rate_before=self._rate, cause_before=self._cause)
        self._slower(min(SLOWER, 1 - loss), "loss")
        trial.slower = self.rate_bytes_per_s / before
        self._settling = True
        self._next = now + settle_s

    def _judge(self, trial: _Trial, loss: float, now: float) -> None:
        self._trial = None
        too_narrow = max(0.0, 1 - (1 - trial.loss) / trial.slower)
        if loss > (trial.loss + too_narrow) / 2:
            self._rate, self._cause, self._ground = trial.rate_before, trial.cause_before, loss
            self._rest_until = now + REST_S

    def _slower(self, factor: float, cause: str) -> None:
        self._rate = max(self._limits.floor_bytes_per_s, self.rate_bytes_per_s * factor)
        self._cause = cause
        self._clean = 0

    def _faster(self) -> None:
        """The longer it goes well the larger the steps: close to the width of a narrow way they are small."""
        self._clean += 1
        cap = self._limits.cap_bytes_per_s
        self._rate = min(cap, self._rate + min(FASTER_OF_CAP * cap, FASTER * self._clean * self._rate))
        if self._rate >= cap:
            self._cause = "cap"


@dataclass(slots=True, kw_only=True)
class _Trial:
    """A reduction that has yet to show that it helps."""

    loss: float
    """What made it."""
    rate_before: float
    cause_before: str
    slower: float = 1.0
    """Rate now by rate before."""


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
