"""Who takes part in a cast and how each is doing, as its authenticated reports say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from core.errors import BusyError, ProtocolError
from transports.member.proto.allowance import Allowance
from transports.multicast.keys import KEY_BYTES
from transports.multicast.proto.limits import MAX_MEMBERS, MAX_REPORT_ENTRIES
from transports.multicast.proto.quantile import quantile, quantile_below
from transports.multicast.proto.report_clock import REPORT_S
from transports.multicast.proto.reports import Report, ReportFlags

__all__ = ["Member", "Members"]

SMOOTHING = 0.3
FIRST_PACKETS = 200
"""Fewer say little about a wire."""
HELD_PACKETS = 1 << 17
"""As many as the largest buffer of a member's socket holds: what it had no room for misses once these were taken."""
STILL_S = 10.0
"""A disk that does not finish one chunk in so long has stopped: at the least rate of a cast a chunk takes 4 s."""
ROUND_TRIP_START_S = 0.02
ROUND_TRIP_MAX_S = 1.0
ASKED_PER_S = MAX_REPORT_ENTRIES / REPORT_S
"""Chunks of which a member may ask for something, counted in each report anew; a report without any counts as one.
Reports as full as can be, as often as they are due: what is sent beyond that takes the sender's time from all."""
ASKED_AT_ONCE = ASKED_PER_S


@dataclass(slots=True, kw_only=True)
class Member:
    """One client of a cast."""

    id: int
    key: bytes = field(repr=False)
    place: int
    """Its bit in Demand."""
    joined_at: float
    since: int
    """Sequence of the last packet before it joined: a report that knows of none since is of an earlier membership."""
    number: int = 0
    """Of its last report."""
    loss: float = 0.0
    """Share of packets its network loses, smoothed."""
    overflow: float = 0.0
    """Share of packets its socket drops, smoothed."""
    write_bytes_per_s: int = 0
    backlog: float = 0.0
    """Share of its chunk memory that waits for decoding or disk."""
    round_trip_s: float | None = None
    missing_chunks: int = 0
    got_on_at: float = 0.0
    """When it lacked fewer chunks than before, the last time; its first report counts."""
    patient: bool = False
    """It has memory for what it lacks until it is served last."""
    lane: str = "multicast"
    """`multicast`, `late` (served when nobody else lacks anything) or `unicast` (asked to go on by other means)."""
    done: bool = False
    asking: Allowance = field(init=False, repr=False)
    """What it may ask for: who floods the sender with good reports takes no time from others."""
    sole_packets: int = 0
    """Repairs only this member asked for, since the cast began."""
    span: int = 0
    received: int = 0
    overflowed: int = 0
    unmissed: int = 0
    """Packets its socket had no room for that do not miss yet: what came before them still waits there."""
    unmissed_until: int = 0
    """`span` from which on they are forgotten."""
    counted_from: tuple[int, int] = (0, 0)
    """`span` and `received` when the count of fresh loss began."""

    def __post_init__(self) -> None:
        self.got_on_at = self.joined_at
        self.asking = Allowance(rate=ASKED_PER_S, burst=ASKED_AT_ONCE, now=self.joined_at)

    @property
    def fresh_packets(self) -> int:
        """Packets sent to it since the count began, as far as it has said."""
        return self.span - self.counted_from[0]

    @property
    def fresh_loss(self) -> float:
        """What its network lost of them, or its host had no room for: sent in vain either way."""
        span, received = self.counted_from
        lost = (self.span - span) - (self.received - received)
        return max(0, lost) / max(1, self.fresh_packets)

    def handle_report(self, report: Report, now: float) -> bool:
        """Take the figures of a report; False if it is a repetition. ProtocolError if they run backwards."""
        if report.number <= self.number:
            return False
        sent, came, dropped = (
            report.span - self.span,
            report.received - self.received,
            report.overflow - self.overflowed,
        )
        if sent < 0 or came < 0 or dropped < 0:
            raise ProtocolError("figures that run backwards")
        if not self.number or report.missing_chunks < self.missing_chunks:
            self.got_on_at = now
        self.number = report.number
        self.span, self.received, self.overflowed = report.span, report.received, report.overflow
        lost = max(0, sent - came)
        at_host = self._of_host(dropped, lost)
        if sent:
            # The mean of all packets until there are many reports: the first one may have met a burst.
            weight = SMOOTHING if report.span < FIRST_PACKETS else max(SMOOTHING, sent / report.span)
            self.loss += weight * ((lost - at_host) / sent - self.loss)
            self.overflow += weight * (at_host / sent - self.overflow)
        self.write_bytes_per_s = report.write_bytes_per_s
        self.backlog = report.backlog / 255
        self.missing_chunks = report.missing_chunks
        self.patient = ReportFlags.PATIENT in report.flags
        if report.status_time_us:
            trip = now - (report.status_time_us + report.held_us) / 1e6
            if 0 <= trip <= ROUND_TRIP_MAX_S:
                self.round_trip_s = (
                    trip if self.round_trip_s is None else self.round_trip_s + 0.125 * (trip - self.round_trip_s)
                )
        return True

    def _of_host(self, dropped: int, lost: int) -> int:
        """How many of `lost` packets the socket had no room for. They came behind all that waits there: they are told
        as dropped before they miss."""
        if dropped:
            self.unmissed += dropped
            self.unmissed_until = self.span + HELD_PACKETS
        elif self.span > self.unmissed_until:
            self.unmissed = 0  # how many were dropped is an estimate
        found = min(self.unmissed, lost)
        self.unmissed -= found
        return found


class Members:
    """All members of a cast, at most MAX_MEMBERS."""

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}
        self._places: list[int] = []
        self._counted_at = float("-inf")

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def get(self, member_id: int) -> Member | None:
        """The member of this id."""
        return self._members.get(member_id)

    def add(self, member_id: int, key: bytes, now: float, *, since: int = 0) -> Member:
        """A new member; `since` is the sequence of the last packet sent. BusyError when there are too many."""
        if len(key) != KEY_BYTES or not 0 <= member_id < 1 << 32 or member_id in self._members:
            raise ValueError(f"no new member {member_id}")
        if len(self._members) >= MAX_MEMBERS:
            raise BusyError(f"the cast has {MAX_MEMBERS} members", hint="take the image by unicast")
        place = self._places.pop() if self._places else len(self._members)
        member = Member(id=member_id, key=key, place=place, joined_at=now, since=since)
        self._members[member_id] = member
        return member

    def remove(self, member_id: int) -> Member | None:
        """Forget a member."""
        member = self._members.pop(member_id, None)
        if member is not None:
            self._places.append(member.place)
        return member

    def charge(self, sole: dict[int, int]) -> None:
        """Note what is sent for one member alone: member place to symbols."""
        if sole:
            for member in self._members.values():
                member.sole_packets += sole.get(member.place, 0)

    def fresh_loss(self, share: float) -> float:
        """The `share` quantile (the member next below) of what was lost since the count began.

        Who says nothing lacks nothing. Only who joined meanwhile, and has not said as much as others, is not counted.
        """
        counted = [member for member in self._members.values() if member.lane == "multicast"]
        most = max((member.fresh_packets for member in counted), default=0)
        losses = [
            member.fresh_loss
            for member in counted
            if member.joined_at <= self._counted_at or 2 * member.fresh_packets >= most
        ]
        return quantile_below(losses, share) or 0.0

    @property
    def most_told(self) -> int:
        """Packets since the count began that the reports of some member are about, of the one that said most."""
        return max((member.fresh_packets for member in self._members.values() if member.lane == "multicast"), default=0)

    @property
    def heard(self) -> float:
        """Share of those who lack something, and are served by the group, that have reported."""
        lacking = [member for member in self._members.values() if member.lane == "multicast" and not member.done]
        return sum(member.number > 0 for member in lacking) / len(lacking) if lacking else 1.0

    def count_anew(self, now: float) -> None:
        """Begin to count the fresh loss of every member."""
        self._counted_at = now
        for member in self._members.values():
            member.counted_from = (member.span, member.received)

    def quantile(self, name: str, share: float, *, lower: bool = False) -> float:
        """The `share` quantile of one figure over the members that are served by the group; `lower`: that of the
        member next below instead of a value between two."""
        values = [getattr(member, name) for member in self._members.values() if member.lane == "multicast"]
        return (quantile_below if lower else quantile)(values, share) or 0.0

    def backlog(self, share: float, now: float) -> float:
        """The `share` quantile (the member next below) of the memory that waits for disks. Who has finished no chunk
        for STILL_S is not counted while others get on: its disk has stopped, and it will ask for what passes by."""
        served = [member for member in self._members.values() if member.lane == "multicast"]
        moving = [member for member in served if member.done or now - member.got_on_at < STILL_S]
        return quantile_below([member.backlog for member in moving or served], share) or 0.0

    def round_trip_s(self) -> float:
        """What nine of ten members need at most for a round trip."""
        trips = [member.round_trip_s for member in self._members.values() if member.round_trip_s is not None]
        found = quantile(trips, 0.9)
        return ROUND_TRIP_START_S if found is None else found

    @property
    def lacking(self) -> int:
        """Members not yet done."""
        return sum(not member.done for member in self._members.values())
