"""How fast a cast sends: a token bucket, a rule that adapts its rate to the group, shares of a common budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from transports.multicast.proto.limits import BURST_PACKETS, TRAIN_PACKETS, TRAINS_TOGETHER
from transports.multicast.proto.members import Members
from transports.multicast.proto.report_clock import MEMBERS_PER_S, REPORT_S

__all__ = ["SLACK_S", "Pace", "RateControl", "RateLimits", "share_budget"]

TRAIN_S = 0.003
"""What one train may hold of the rate: short enough for the buffers of a switch."""
TOGETHER_S = 0.0022
"""What several trains that leave together may: two from 500 Mbit/s on, four at 1 Gbit/s."""
SLACK_S = 0.05
"""What may be caught up after the sender was late: on a machine with much to do that happens, and a link that lies idle
meanwhile has lost its time for good. Spread out, it would take more of the sleeps that are late."""

UNUSED_LOOK_S = 0.5

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
START_SHARE = 0.25
START_BYTES_PER_S = 25e6
"""What an adaptive cast begins with: this share of the cap, or this rate if it is more. Until the first reports come,
which takes as long as a program to start, nobody knows how wide the way is, and on one of 20 Mbit/s nothing else gets
through."""
START_TIMES = 4.0
"""Then each step is so many times the last, as long as little is lost."""
START_LOSS = 0.15
"""More than a bad wire loses: the way is too narrow, and what comes through is its width."""
START_CUTS = 4
START_PACKETS = 200
"""Some member has told of so many, or nothing is decided."""
START_LOOK_S = 0.05
START_STEP_S = 0.2
"""Between two steps upwards: reports of the new rate are there, and those of the old one are few."""
START_BLIND_S = 0.5
START_BLIND_BYTES_PER_S = 6e6
"""Nobody reports for so long: a quarter of the rate, but not below this. It may be this cast that keeps clients from
asking for what they need to begin."""
START_HEARD = 0.75
"""The whole rate comes when so many of those who lack something have reported once. The programs of the others are not
running yet: what comes meanwhile fills their sockets, and then, full of holes, all of their chunk memory."""
START_LATE_S = 1.0
"""After the first report; nobody is waited for longer."""
START_CLEAN = 4
"""What the steps upwards begin with where a way was narrow: it was looked at for a moment only."""
REST_S = 10.0
"""After a trial in vain, loss is tried again only when it has grown, or after this time when it has not gone away."""


class Pace:
    """A token bucket in wire bytes; its debt is paid by waiting."""

    def __init__(self, rate_bytes_per_s: float, now: float) -> None:
        self.rate_bytes_per_s = rate_bytes_per_s
        """May be set at any time."""
        self._free_at = now
        self._used_s = self._unused_s = 0.0
        self.unused = 0.0
        """Share of the rate that was not used though there was work, when it was last looked at: a sender that is too
        slow for it."""

    def ready_at(self) -> float:
        """When the next train may go."""
        return self._free_at

    def burst_packets(self, packet_wire_bytes: int) -> int:
        """Packets that are decided at once at this rate: what leaves together (see `pieces`), or twice that."""
        together = self._together(packet_wire_bytes)
        return together if together <= TRAIN_PACKETS else min(BURST_PACKETS, 2 * together)

    def pieces(self, count: int, packet_wire_bytes: int) -> list[tuple[int, float]]:
        """How a burst of `count` packets leaves that was spent last: so many at a time, and not before when."""
        together, each_s = self._together(packet_wire_bytes), packet_wire_bytes / self.rate_bytes_per_s
        return [(min(together, count - at), self._free_at - (count - at) * each_s) for at in range(0, count, together)]

    def _together(self, packet_wire_bytes: int) -> int:
        """A train, or several whole ones."""
        packets = int(self.rate_bytes_per_s * TRAIN_S / packet_wire_bytes)
        if packets <= TRAIN_PACKETS:
            return max(1, packets)
        trains = int(self.rate_bytes_per_s * TOGETHER_S / (packet_wire_bytes * TRAIN_PACKETS))
        return TRAIN_PACKETS * max(1, min(TRAINS_TOGETHER, trains))

    def rest(self, now: float) -> None:
        """There was nothing to send until now."""
        self._free_at = max(self._free_at, now)

    def spend(self, wire_bytes: int, now: float, *, work: bool = True) -> None:
        """This much goes out now; without `work` nobody waited for it."""
        takes_s = wire_bytes / self.rate_bytes_per_s
        self._unused_s += max(0.0, now - SLACK_S - self._free_at) if work else 0.0
        self._used_s += takes_s
        self._free_at = max(self._free_at, now - SLACK_S) + takes_s
        if (all_s := self._used_s + self._unused_s) >= UNUSED_LOOK_S:
            self.unused = self._unused_s / all_s
            self._used_s = self._unused_s = 0.0


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
        self._start: _Start | None = None
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
        self._begin(now, known=False)

    @property
    def rate_bytes_per_s(self) -> float:
        """The rate now."""
        return min(self._rate, self._share)

    @property
    def limited_by(self) -> str:
        """What holds the rate: `cap`, `share`, `loss`, `disk` or `start`."""
        return "share" if self._share < self._rate else self._cause

    def restart(self, members: Members, packets_sent: int, now: float) -> None:
        """A room begins after a rest: the way bore the rate, but of those who are there now nobody was heard yet."""
        before = self._start
        if before is None:
            self._begin(now, known=True)
        else:  # what nobody said while nobody was there, and who was heard before, says nothing of those
            self._start = _Start(aim=before.aim, cause=before.cause, known=before.known, began=now, cuts=before.cuts)
            self._next = now + START_LOOK_S
        self._count_anew(members, packets_sent, now)

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
        if self._start is not None:
            anew = self._go_on(self._start, members, now)
        else:
            anew = self.handle_group(
                loss=members.fresh_loss(QUANTILE),
                packets=packets_sent - self._packets_before,
                backlog=members.backlog(QUANTILE, now),
                settle_s=_settle_s(members),
                now=now,
            )
        if anew:
            self._count_anew(members, packets_sent, now)

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

    def _count_anew(self, members: Members, packets_sent: int, now: float) -> None:
        members.count_anew(now)
        self._packets_before = packets_sent

    def _begin(self, now: float, *, known: bool) -> None:
        """With a part of the rate; `known`: the way bore all of it before."""
        if self._limits.adaptive and self._rate > self._least_start:
            self._start = _Start(aim=self._rate, cause=self._cause, known=known, began=now)
            self._rate, self._cause = self._least_start, "start"
            self._trial, self._settling = None, False
            self._next = now + START_LOOK_S

    @property
    def _least_start(self) -> float:
        return max(START_BYTES_PER_S, START_SHARE * self._limits.cap_bytes_per_s)

    def _go_on(self, start: _Start, members: Members, now: float) -> bool:
        """The first steps, upwards to the aim, or to what a narrow way lets through. True to count anew."""
        settle_s = _settle_s(members)
        start.could_send += self.rate_bytes_per_s * (now - start.looked_at)
        start.looked_at, self._next = now, now + START_LOOK_S
        if self._settling:
            self._settling = False
            return True
        if members.most_told < START_PACKETS:
            if not start.known and not start.cuts and now >= start.blind_since + START_BLIND_S:
                self._rate = min(self._rate, max(START_BLIND_BYTES_PER_S, self._rate / START_TIMES))
                start.blind_since = now
            return False
        loss = members.fresh_loss(QUANTILE)
        if loss > START_LOSS and start.cuts < START_CUTS:
            # not all at once: what waits in a switch was not lost yet
            usual = self.rate_bytes_per_s if start.cuts else start.could_send / (now - start.began)
            start.cuts += 1
            self._slower((1 - loss) * usual / self.rate_bytes_per_s, "loss")
            self._clean, self._settling, self._next = START_CLEAN, True, now + settle_s
        elif start.cuts:
            self._start = None
        else:
            self._rate = max(self._rate, self._least_start)
            if not start.heard(members, now):
                return False
            self._rate = min(start.aim, START_TIMES * self._rate)
            self._next = now + max(START_STEP_S, settle_s)
            if self._rate >= start.aim:
                self._start, self._cause = None, start.cause
        self._counted_from = now
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


def _settle_s(members: Members) -> float:
    return SETTLE_OF_INTERVAL * max(REPORT_S, len(members) / MEMBERS_PER_S)


@dataclass(slots=True, kw_only=True)
class _Start:
    """The first steps of a cast, or of one that rested."""

    aim: float
    """The rate to go up to."""
    cause: str
    """What will hold it then."""
    known: bool
    """The way bore this rate before, so that silence does not say that it is too much."""
    began: float
    blind_since: float = field(init=False)
    looked_at: float = field(init=False)
    heard_since: float | None = None
    """When the first of those who lack something had reported."""
    could_send: float = 0.0
    """Bytes, at the rates since the beginning."""
    cuts: int = 0

    def __post_init__(self) -> None:
        self.blind_since = self.looked_at = self.began

    def heard(self, members: Members, now: float) -> bool:
        """Whether enough members have reported, or were waited for long enough since one did."""
        share = members.heard
        if share and self.heard_since is None:
            self.heard_since = now
        waited = self.heard_since is not None and now >= self.heard_since + START_LATE_S
        return waited or share >= START_HEARD


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
