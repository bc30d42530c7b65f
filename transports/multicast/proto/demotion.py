"""When a member costs the group too much, and when it may come back.

Two steps. A member whose network loses far more than the others' is *late* at once: its repairs are sent only when
nobody else lacks anything. One that stays so, or alone causes more than 5 % of what is sent, for 5 s, is asked to
fetch what it lacks by *unicast*; the packets others need still reach it.
"""

from __future__ import annotations

from dataclasses import dataclass

from transports.multicast.proto.members import Member, Members

__all__ = ["Demotion", "Verdict"]

LATE_LOSS = 0.12
"""No member that loses less is late, whatever the others lose."""
LATE_TIMES = 4.0
"""Late is who loses this many times the group's upper quartile."""
COST_SHARE = 0.05
COST_S = 5.0
"""What a member may cost alone, and over what time that is looked at."""
GREED_SHARE = 0.25
GREED_S = 1.0
"""Who costs this much is not watched for longer: no honest member needs it."""
FEW_PACKETS = 1000
"""A share of fewer packets says nothing: the repairs of one stall would look like a third of a small image."""
COMMON_LOSS = 0.06
"""Where even the best quarter loses this much the fault is one of all: the rate is to follow, and nobody is judged by
what is repaired meanwhile, and for COST_S after it."""
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
        self._late_since: dict[int, float] = {}
        self._moved_at: dict[int, float] = {}

    def forget(self, member_id: int) -> None:
        """The member left."""
        for table in (self._since, self._late_since, self._moved_at):
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
        verdicts = []
        for member in members:
            if member.done:
                continue
            if member.lane == "unicast":
                verdict = self._may_return(member, normal, now)
            elif lacking > 1:
                verdict = self._must_go(member, normal, packets_sent, now)
            else:
                continue
            if verdict is not None:
                member.lane = verdict.lane
                verdicts.append(verdict)
        return verdicts

    def _must_go(self, member: Member, normal: float, packets_sent: int, now: float) -> Verdict | None:
        late = self._late_since.get(member.id)
        if late is not None:
            if member.loss < self._too_much(normal) / 2:
                del self._late_since[member.id]
                return Verdict(member=member.id, lane="multicast", reason=f"loses {member.loss:.1%} again")
            if now - late >= COST_S:
                self._moved_at[member.id] = now
                return Verdict(
                    member=member.id,
                    lane="unicast",
                    reason=f"loses {member.loss:.0%} of the packets where the group loses {normal:.1%}",
                )
            return None
        if member.loss > self._too_much(normal):
            self._late_since[member.id] = now
            return Verdict(
                member=member.id,
                lane="late",
                reason=f"loses {member.loss:.0%} of the packets where the group loses {normal:.1%}",
            )
        since, sent, sole = self._since.setdefault(member.id, (now, packets_sent, member.sole_packets))
        if packets_sent - sent < FEW_PACKETS:
            return None
        cost = (member.sole_packets - sole) / (packets_sent - sent)
        greedy = now - since >= GREED_S and cost > GREED_SHARE
        if now - since < COST_S and not greedy:
            return None
        self._since[member.id] = (now, packets_sent, member.sole_packets)
        if greedy or cost > COST_SHARE:
            self._moved_at[member.id] = now
            return Verdict(
                member=member.id, lane="unicast", reason=f"{cost:.0%} of what is sent is for this client alone"
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
