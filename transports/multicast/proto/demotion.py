"""When a member costs the group too much, and when it may come back.

Two steps. A member whose network loses far more than the others' is *late* at once, and so is one that alone causes
more than 5 % of what is sent, and several times what others do, for 5 s: its repairs are sent only when nobody else
lacks anything. Who goes on to lose so much without memory to keep what has holes in, or costs as much again soon
after, is asked to fetch what it lacks by *unicast*, which takes more of the sender's link than one stall is worth; the
packets others need still reach it.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from transports.multicast.proto.members import Member, Members

__all__ = ["Demotion", "Verdict"]

LATE_LOSS = 0.08
"""No member that loses less is late, whatever the others lose."""
LATE_TIMES = 4.0
"""Late is who loses this many times the group's median."""
PATIENT_LOSS = 0.2
"""Who loses no more, and has memory for what it lacks, stays late to the end: nothing brings it the rest sooner."""
COST_SHARE = 0.05
COST_S = 5.0
"""What a member may cost alone, and over what time that is looked at."""
GREED_SHARE = 0.25
GREED_S = 1.0
"""Who costs this much is not watched for longer: no honest member needs it."""
COST_TIMES = 4.0
"""Where all cost that much, as in a room of two that lose alike, nobody is moved: who costs this many times the others'
median is."""
FEW_PACKETS = 1000
"""A share of fewer packets says nothing: the repairs of one stall would look like a third of a small image, and a burst
that a joiner lost like a bad cable."""
COMMON_LOSS = 0.06
"""Where even the best quarter loses this much the fault is one of all: the rate is to follow, and nobody is judged by
what is repaired meanwhile, and for COST_S after it."""
GRACE_S = 3.0
"""Who joins misses something at first, all the more if it joins while its program still starts; what it asks for in so
long from its first report on is not counted."""
EXCUSED_SHARE = 0.75
EXCUSED_S = 2.0
"""Unless it alone causes this much for so long: next to nothing of the image is sent meanwhile, and after the 3 s that
others bear they would all leave."""
COST_LATE_S = 10.0
"""For so long who cost too much is served last."""
AGAIN_S = 30.0
"""Who costs too much again within so long is moved."""
RETURN_S = 20.0
EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A member changes its lane."""

    member: int
    lane: str
    reason: str
    """For the operator and the member."""


class Demotion:
    """Watches the members of one cast."""

    def __init__(self, now: float) -> None:
        self._next = now
        self._common_until = now
        self._since: dict[int, tuple[float, int, int]] = {}
        self._excused_until: dict[int, float] = {}
        self._late_since: dict[int, float] = {}
        self._late_above: dict[int, float] = {}
        """The loss above which a late member was so: that others lose more later on does not make it better."""
        self._moved_at: dict[int, float] = {}
        self._cost_at: dict[int, float] = {}
        """When a member was made late for what it costs."""

    def forget(self, member_id: int) -> None:
        """The member left."""
        self._since.pop(member_id, None)
        for table in (self._excused_until, self._late_since, self._late_above, self._moved_at, self._cost_at):
            table.pop(member_id, None)

    def poll(self, members: Members, packets_sent: int, now: float) -> list[Verdict]:
        """Changes since the last call; `packets_sent` is the running total of the cast."""
        if now < self._next:
            return []
        self._next = now + EVERY_S
        lacking = members.lacking
        normal = members.quantile("loss", 0.5)
        if members.quantile("loss", 0.25, lower=True) >= COMMON_LOSS:
            self._common_until = now + COST_S
        if now < self._common_until:
            self._since.clear()
        costs = {
            member.id: self._cost(member, packets_sent, now)
            for member in members
            if not member.done and member.lane != "unicast"
        }
        verdicts = []
        for member in members:
            if member.done:
                continue
            if member.lane == "unicast":
                verdict = self._may_return(member, normal, now)
            elif lacking > 1:
                others = [cost for number, cost in costs.items() if number != member.id]
                usual = statistics.median(others) if others else 0.0
                verdict = self._must_go(member, normal, costs[member.id], usual, packets_sent, now)
            else:
                continue
            if verdict is not None:
                member.lane = verdict.lane
                verdicts.append(verdict)
        return verdicts

    def _cost(self, member: Member, packets_sent: int, now: float) -> float:
        """What share of the packets was for this member alone, since it is looked at."""
        since = self._since.setdefault(member.id, (now, packets_sent, member.sole_packets))
        sent, sole = packets_sent - since[1], member.sole_packets - since[2]
        if not member.number or (self._is_new(member, now) and sole <= EXCUSED_SHARE * sent):
            self._since[member.id] = (now, packets_sent, member.sole_packets)
            return 0.0
        return sole / max(FEW_PACKETS, sent)

    def _is_new(self, member: Member, now: float) -> bool:
        """Whether a member that reports began to do so, or to be served as all others again, not long ago."""
        return now < self._excused_until.setdefault(member.id, now + GRACE_S)

    def _must_go(
        self, member: Member, normal: float, cost: float, usual: float, packets_sent: int, now: float
    ) -> Verdict | None:
        if member.id in self._late_since:
            return self._while_late(member, normal, now)
        if member.loss > self._too_much(normal) and member.span >= FEW_PACKETS:
            self._late_since[member.id] = now
            self._late_above[member.id] = self._too_much(normal)
            return Verdict(
                member=member.id,
                lane="late",
                reason=f"loses {member.loss:.0%} of the packets where the group loses {normal:.1%}",
            )
        since, sent, _ = self._since[member.id]
        if packets_sent - sent < FEW_PACKETS:
            return None
        patience_s = EXCUSED_S if self._is_new(member, now) else GREED_S
        greedy = now - since >= patience_s and cost > GREED_SHARE and cost > COST_TIMES * usual
        if now - since < COST_S and not greedy:
            return None
        self._since[member.id] = (now, packets_sent, member.sole_packets)
        if cost <= COST_SHARE or cost <= COST_TIMES * usual:
            return None
        again = member.id in self._cost_at and now < self._cost_at[member.id] + AGAIN_S
        (self._moved_at if again else self._late_since)[member.id] = now
        self._cost_at[member.id] = now
        reason = f"{cost:.0%} of what is sent is for this client alone{', again' if again else ''}"
        return Verdict(member=member.id, lane="unicast" if again else "late", reason=reason)

    def _while_late(self, member: Member, normal: float, now: float) -> Verdict | None:
        """A late member recovers, or is moved; for what it cost it stays late for a while, however little it loses."""
        late = self._late_since[member.id]
        much = min(self._too_much(normal), self._late_above.get(member.id, 1.0))
        lossy = member.loss >= much / 2
        costly = self._cost_at.get(member.id) == late
        if not lossy and now >= late + (COST_LATE_S if costly else 0.0):
            del self._late_since[member.id]
            self._late_above.pop(member.id, None)
            # what was not repaired meanwhile is asked for at once
            self._excused_until[member.id] = now + GRACE_S
            return Verdict(member=member.id, lane="multicast", reason=f"loses {member.loss:.1%} again")
        patient = member.patient and member.loss <= PATIENT_LOSS
        if lossy and now >= late + COST_S and not patient:
            self._moved_at[member.id] = now
            return Verdict(
                member=member.id,
                lane="unicast",
                reason=f"loses {member.loss:.0%} of the packets where the group loses {normal:.1%}",
            )
        return None

    def _may_return(self, member: Member, normal: float, now: float) -> Verdict | None:
        if now - self._moved_at.get(member.id, now) < RETURN_S or member.loss > self._too_much(normal) / 2:
            return None
        self.forget(member.id)
        return Verdict(member=member.id, lane="multicast", reason=f"loses {member.loss:.1%} now")

    @staticmethod
    def _too_much(normal: float) -> float:
        return max(LATE_LOSS, LATE_TIMES * normal)
