"""The sending side of one multicast session, as a pure machine: what goes out next, and when.

The shell asks for a burst, fills in symbols (rows of stored frames, parity made on demand), authenticates and sends;
between bursts it feeds the reports that came in. Members can only ask: nothing a member says or fails to say makes
the cast wait, and what makes no sense changes nothing but a counter.

Order of sending: repairs that have been gathered, the originals of the chunk in progress, the next chunk of the
schedule, repairs not gathered yet, repairs of late members (between repetitions, these take turns). Without all that
the cast is *idle*: it says so at once, and again with doubling pauses until all members are done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container

import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.announcer import Announcer
from transports.multicast.proto.burst import Burst, Control, Totals
from transports.multicast.proto.demand import Demand
from transports.multicast.proto.demotion import Demotion, Verdict
from transports.multicast.proto.foresight import spare_symbols, symbols_ahead
from transports.multicast.proto.heads import Heads
from transports.multicast.proto.layout import Layout, check_symbol_bytes
from transports.multicast.proto.limits import BURST_PACKETS, SEQUENCE_LIMIT, TAG_BYTES, WIRE_OVERHEAD_BYTES
from transports.multicast.proto.members import Members
from transports.multicast.proto.packets import Probe, Status, StatusFlags, packet_bytes
from transports.multicast.proto.rate import Pace, RateControl, RateLimits
from transports.multicast.proto.repair import Repairs
from transports.multicast.proto.report_clock import MEMBERS_PER_S, REPORT_S
from transports.multicast.proto.requests import Requests
from transports.multicast.proto.schedule import Schedule

__all__ = ["Cast"]

GATHER = 0.5
"""Share of T for which repairs of a chunk wait for further reports while there is other work."""
TYPICAL_WEIGHT = 0.2


class Cast:
    """One image version sent to one group."""

    def __init__(
        self,
        *,
        cast_id: int,
        chunks: int,
        stored: Callable[[int], tuple[int, int]],
        symbol_bytes: int,
        limits: RateLimits,
        now: float,
        first_sequence: int = 1,
        overhead_bytes: int = WIRE_OVERHEAD_BYTES,
    ) -> None:
        """`stored` gives (stored length, encoding) of a chunk; it is called when a chunk is about to be sent.

        `overhead_bytes` is what a packet takes on the wire beside its UDP payload.
        """
        check_symbol_bytes(symbol_bytes)
        self._id = cast_id
        self._chunks = chunks
        self._stored = stored
        self._symbol_bytes = symbol_bytes
        self._overhead = overhead_bytes
        self._packet_wire_bytes = packet_bytes(symbol_bytes) + overhead_bytes
        self._sequence = first_sequence
        self._members = Members()
        self._demand = Demand(chunks)
        self._schedule = Schedule(self._demand.counts)
        self._repairs = Repairs()
        self._rate = RateControl(limits, now)
        self._pace = Pace(self._rate.rate_bytes_per_s, now)
        self._demotion = Demotion(now)
        self._current: Burst | None = None
        """The chunk in progress, all of it: what bursts are cut from."""
        self._row = self._stop_row = 0
        self._heads = Heads()
        self._typical = 0.0
        self._announcer = Announcer(now)
        self._closing = False
        self._events: deque[Verdict] = deque()
        self.totals = Totals()
        self._requests = Requests(
            cast_id=cast_id,
            members=self._members,
            demand=self._demand,
            heads=self._heads,
            repairs=self._repairs,
            totals=self.totals,
        )

    # ------------------------------------------------------------------ state

    @property
    def members(self) -> Members:
        """Who takes part; read only."""
        return self._members

    @property
    def sequence(self) -> int:
        """Number of the last packet: what an offer tells a joiner."""
        return self._sequence - 1

    @property
    def rate(self) -> RateControl:
        """The rate and what holds it; read only."""
        return self._rate

    @property
    def exhausted(self) -> bool:
        """All sequence numbers are used: open another cast."""
        return self._sequence + BURST_PACKETS >= SEQUENCE_LIMIT

    @property
    def report_interval_s(self) -> float:
        """T."""
        return max(REPORT_S, len(self._members) / MEMBERS_PER_S)

    @property
    def chunks_wanted(self) -> int:
        """Chunks somebody lacks, the one in progress not counted."""
        return self._demand.chunks_wanted

    def upcoming(self, limit: int, *, kept: Container[int] = ()) -> list[int]:
        """Chunks likely needed next, the most urgent first: what to read ahead. Repairs of `kept` need no reading."""
        found = [] if self._current is None else [self._current.chunk]
        due = (chunk for chunk in self._repairs.chunks_due(limit) if chunk not in kept)
        return list(dict.fromkeys([*found, *due, *self._schedule.peek(limit)]))[:limit]

    # ------------------------------------------------------------------ members

    def add_member(
        self, member_id: int, *, key: bytes, wanted: NDArray[np.bool_], now: float, probe: bool = True
    ) -> None:
        """A client joined. BusyError when there are too many. Joining again replaces what it wanted."""
        if len(wanted) != self._chunks:
            raise ValueError(f"want-map of {len(wanted)} chunks for {self._chunks}")
        if not self._members.lacking and self._current is None:
            self._schedule.restart()
            self._rate.restart(self._members, self.totals.packets, now)
        member = self._members.get(member_id) or self._members.add(member_id, key, now, since=self.sequence)
        member.lane = "multicast"
        member.missing_chunks = int(wanted.sum())
        member.done = member.missing_chunks == 0
        self._demotion.forget(member_id)
        self._forget_wants(member.place)
        self._note_work(now)
        self._demand.add(member.place, wanted)
        if self._current is not None and self._stop_row == self._current.layout.symbols:
            self._heads.handle_joined(member.place, self._current.chunk, self._row, self._demand)
        if probe:
            self._announcer.handle_joined(now)
        self._announcer.handle_state(idle=not self._has_work(), now=now)

    def handle_probe_wanted(self, now: float) -> None:
        """A member that was added before counts probes from now on."""
        self._announcer.handle_joined(now)

    def remove_member(self, member_id: int) -> None:
        """A client left or died; nothing is sent for it from now on. Unknown ids are ignored."""
        member = self._members.remove(member_id)
        if member is not None:
            self._forget_wants(member.place)
            self._demotion.forget(member_id)

    def handle_done(self, member_id: int) -> None:
        """A client has everything."""
        if member := self._members.get(member_id):
            member.done = True
            member.missing_chunks = 0
            self._forget_wants(member.place)

    def handle_withdrawn(self, member_id: int, chunks: NDArray[np.bool_]) -> None:
        """A client gets `chunks` by other means: as far as it waits for their sending, it does so no more."""
        if member := self._members.get(member_id):
            self._demand.withdraw_all(member.place, chunks)

    def handle_again(self, member_id: int, chunks: NDArray[np.bool_], now: float) -> None:
        """A client wants these as well, since they do not come by other means."""
        if (member := self._members.get(member_id)) and member.lane != "unicast":
            self._note_work(now)
            self._requests.handle_again(member, chunks)
            self._announcer.handle_state(idle=not self._has_work(), now=now)

    def handle_moved(self, member_id: int) -> None:
        """A client goes on by other means: it stays a member whom nothing is sent for."""
        if member := self._members.get(member_id):
            member.lane = "unicast"
            self._forget_wants(member.place)

    def handle_share(self, rate_bytes_per_s: float) -> None:
        """What the common budget leaves for this cast."""
        self._rate.handle_share(rate_bytes_per_s)
        self._pace.rate_bytes_per_s = self._rate.rate_bytes_per_s

    def handle_closing(self, now: float) -> None:
        """Tell the group that the cast ends; call `poll_control` a few times more."""
        self._closing = True
        self._announcer.handle_urgent(now)

    # ------------------------------------------------------------------ reports

    def handle_report(self, data: bytes | memoryview, now: float) -> None:
        """A datagram to the report port, from anybody. What makes no sense is counted, nothing else."""
        current = None if self._current is None else self._current.chunk
        self._note_work(now)
        if self._requests.handle_report(data, sequence=self._sequence, current=current, now=now):
            self._announcer.handle_state(idle=not self._has_work(), now=now)

    # ------------------------------------------------------------------ sending

    def poll_timer(self) -> float:
        """When `poll_burst` or `poll_control` has something."""
        work = self._has_work()
        speak = self._announcer.next_at(status=self._wants_status(work))
        return min(speak, self._pace.ready_at()) if work else speak

    def poll_burst(self, now: float) -> Burst | None:
        """The next burst, to leave in `pieces`, or None: nothing to send, or not yet (`poll_timer`)."""
        if now < self._pace.ready_at() or self.exhausted or not self._has_work():
            return None
        self._group_feedback(now)
        burst = self._next_burst(self._pace.burst_packets(self._packet_wire_bytes), now)
        if burst is None:
            return None
        count = len(burst)
        self._sequence += count
        self.totals.count(burst, count)
        self._spend(count * self._packet_wire_bytes, now)
        if burst.first_row is not None:
            self._schedule.handle_sent(count)
            self._advance(burst, now)
        self._announcer.handle_state(idle=not self._has_work(), now=now)
        return burst

    def handle_unread(self, burst: Burst, *, for_good: bool) -> None:
        """The burst `poll_burst` gave last cannot be made, and nothing was sent since: its numbers go to what is sent
        next, or members would count them as lost on the way. `for_good`: no more of its chunk is sent."""
        self._sequence -= len(burst)
        self.totals.count(burst, -len(burst))
        self.totals.wire_bytes -= len(burst) * self._packet_wire_bytes
        self._repairs.handle_unsent(burst.chunk, self._sequence - 1)
        if for_good and self._current is not None and self._current.chunk == burst.chunk:
            self._current = None
            self._repairs.finish(burst.chunk, self._sequence - 1)

    def pieces(self, count: int) -> list[tuple[int, float]]:
        """How the `count` packets of a burst just given leave: so many at a time, and not before when."""
        return self._pace.pieces(count, self._packet_wire_bytes)

    def poll_control(self, now: float) -> Control | None:
        """The next STATUS or PROBE; call until None."""
        if self.exhausted:
            return None
        work = self._has_work()
        self._announcer.handle_state(idle=not work, now=now)  # whoever waited last may have left
        if (probe := self._announcer.poll_probe(now)) is not None:
            packet = Probe(cast_id=self._id, sequence=self._sequence, number=probe[0], left=probe[1])
            return self._control(packet.encode(), now)
        if not self._wants_status(work) or not self._announcer.poll_status(now):
            return None
        return self._control(self._status(now).encode(), now)

    def poll_event(self) -> Verdict | None:
        """A member that changes its lane."""
        return self._events.popleft() if self._events else None

    # ------------------------------------------------------------------ inside

    def _forget_wants(self, place: int) -> None:
        self._demand.remove(place)
        self._heads.forget(place)
        self._repairs.forget(place)
        self._requests.forget(place)
        if self._current is not None and not self._members.lacking:
            self._repairs.finish(self._current.chunk, self._sequence - 1)
            self._current = None

    def _note_work(self, now: float) -> None:
        """There may be work from now on: the time in which there was none is not caught up."""
        if not self._has_work():
            self._pace.rest(now)

    def _has_work(self) -> bool:
        wanted = self._current is not None or self._demand.chunks_wanted > 0
        return (wanted or self._repairs.any_due or self._repairs.any_late) and len(self._members) > 0

    def _wants_status(self, work: bool) -> bool:
        return work or (len(self._members) > 0 and (self._closing or self._members.lacking > 0))

    def _next_burst(self, limit: int, now: float) -> Burst | None:
        waiting = self._repairs.oldest(late=False)
        if waiting is not None and now >= waiting[1] + GATHER * self.report_interval_s:
            return self._repair_burst(waiting[0], limit, late=False)
        late = self._repairs.oldest(late=True)
        yields = late is not None and self._schedule.yields() and self._demand.nearly_done() is None
        if self._current is None and self._demand.chunks_wanted and not yields:
            self._begin_chunk()
        if self._current is not None:
            return self._current.cut(self._row, min(self._row + limit, self._stop_row), self._sequence)
        if waiting is not None:
            return self._repair_burst(waiting[0], limit, late=False)
        return None if late is None else self._repair_burst(late[0], limit, late=True)

    def _begin_chunk(self) -> None:
        chunk = self._schedule.take(self._demand.nearly_done(), self._demand.fewest())
        if chunk is None:
            return
        again = chunk in self._repairs
        part = self._heads.take(chunk, self._demand)
        asked_by = self._requests.asked_by.pop(chunk, None)
        length, encoding = self._stored(chunk)
        layout = Layout(length, self._symbol_bytes)
        self._repairs.start(chunk, layout, encoding, part=part.first > 0 or part.stop is not None)
        self.totals.repairs_forgotten = self._repairs.forgotten
        self._current = Burst.whole(chunk, layout, encoding)
        self._row = min(part.first, layout.symbols - 1)
        self._stop_row = min(layout.symbols, part.stop or layout.symbols)
        self.totals.chunks += 1
        self.totals.chunks_again += again
        if part.wanting == 1 and asked_by is not None and again:
            self._members.charge({asked_by: self._stop_row - self._row})

    def _advance(self, burst: Burst, now: float) -> None:
        """Originals went out."""
        self._row += len(burst)
        if self._row < self._stop_row:
            return
        self._current = None
        self._repairs.finish(burst.chunk, self._sequence - 1)
        disks, whole = self._rate.limited_by == "disk", self._stop_row == burst.layout.symbols
        unasked = symbols_ahead(burst.layout, self._members, unused=self._pace.unused, disks=disks) if whole else 0
        # at the end of the pass the wire would rest for a round trip
        if unasked := max(unasked, 0 if self._demand.chunks_wanted else round(self._typical)):
            self._repairs.add_all(burst.chunk, unasked, now - GATHER * self.report_interval_s)
            self.totals.unasked += unasked * burst.layout.blocks

    def _repair_burst(self, chunk: int, limit: int, *, late: bool) -> Burst:
        repair, rests = self._repairs[chunk], self._current is None and not self._demand.chunks_wanted
        if not late and not repair.repaired:
            self._typical += TYPICAL_WEIGHT * (float(repair.due.mean()) - self._typical)
        spare = spare_symbols(repair.due, self._members) if rests and not late else 0
        taken = self._repairs.take(chunk, limit, late=late, spare=spare)
        self._schedule.handle_late(len(taken.blocks) if late else 0)
        repair.note_sent(self._sequence + len(taken.blocks) - 1, taken.counts)
        self._members.charge(taken.sole)
        return Burst(
            chunk=chunk,
            layout=repair.layout,
            encoding=repair.encoding,
            first_sequence=self._sequence,
            blocks=taken.blocks,
            symbols=taken.symbols,
            first_row=None,
            ahead=taken.ahead,
        )

    def _group_feedback(self, now: float) -> None:
        """Let rate and lanes follow what members reported."""
        for verdict in self._demotion.poll(self._members, self.totals.packets, now):
            if verdict.lane == "unicast":
                self.handle_moved(verdict.member)
            elif verdict.lane == "late" and (member := self._members.get(verdict.member)):
                self._repairs.defer(member.place)
            self._events.append(verdict)
        self._rate.follow(self._members, self.totals.packets, now)
        self._pace.rate_bytes_per_s = self._rate.rate_bytes_per_s

    def _status(self, now: float) -> Status:
        flags = StatusFlags.NONE if self._has_work() else StatusFlags.IDLE
        if self._schedule.repeating:
            flags |= StatusFlags.REPEATS
        if self._closing:
            flags |= StatusFlags.CLOSING
        return Status(
            cast_id=self._id,
            sequence=self._sequence,
            time_us=int(now * 1e6),
            pace_bytes_per_s=int(self._pace.rate_bytes_per_s),
            chunks_wanted=self._demand.chunks_wanted,
            repairs_pending=self._repairs.pending,
            report_interval_ms=int(self.report_interval_s * 1000),
            round_trip_ms=int(self._members.round_trip_s() * 1000) + 1,
            members=len(self._members),
            flags=flags,
            echo=self.totals.reports,
        )

    def _control(self, data: bytes, now: float) -> Control:
        self._sequence += 1
        self.totals.control += 1
        self._spend(len(data) + TAG_BYTES + self._overhead, now, work=self._has_work())
        return Control(sequence=self._sequence - 1, data=data)

    def _spend(self, wire_bytes: int, now: float, *, work: bool = True) -> None:
        self.totals.wire_bytes += wire_bytes
        self._pace.spend(wire_bytes, now, work=work)
