"""One cast under way: its sender thread, its seats, when it begins, what the operator may know of it.

A seat is one session's place in a cast; it is there from the offer on, and a member sits on it while its lane is open.
Lives on repod's event loop; everything about the machine goes through the sender thread's mailbox.
"""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BusyError, OgcastError
from transports.base import ServedSession
from transports.multicast.keys import report_key
from transports.multicast.lane import MemberLane
from transports.multicast.proto.announcer import PROBES
from transports.multicast.proto.cast import Cast
from transports.multicast.proto.demotion import Verdict
from transports.multicast.proto.groups import Endpoint
from transports.multicast.proto.lane import Closing, Damaged, Health, Joined, LaneChange, Probed, Waiting
from transports.multicast.proto.options import MBIT_BYTES, CastOptions
from transports.multicast.proto.start import DAY_S, StartGate
from transports.multicast.sender import CastSender
from transports.multicast.udp.interface import Interface

__all__ = ["Casting", "Seat", "local_wall_s"]

MS = 1000
EXPECTED_S = 15.0
"""For so long a client that listens is a member without its lane: longer than any listens before it has one."""


@dataclass(slots=True, kw_only=True, eq=False)
class Seat:
    """One session in a cast."""

    session: ServedSession
    member: int
    """Its number in the cast."""
    options: CastOptions
    lane: MemberLane | None = None
    wanted: NDArray[np.bool_] | None = None
    """What it lacked when it joined; None before, and after it was admitted to the sending."""
    sitting: bool = False
    """It is a member of the machine."""
    expected: bool = False
    """It is one since the offer, and its lane was not there yet."""
    expected_until: float = 0.0
    way: str = "offered"
    """offered, waiting, multicast, late, unicast, done or gone."""
    reason: str = ""
    """Why it is served that way."""
    probe: Probed | None = None
    health: Health | None = None


@dataclass(slots=True, eq=False)
class Casting:
    """One image being cast."""

    cast: Cast
    """Touched on the sender's thread; here only its figures are read."""
    sender: CastSender
    endpoint: Endpoint
    interface: Interface
    """What it is sent through, as that was when the cast was made."""
    options: CastOptions
    """Of the client that it was made for."""
    gate: StartGate
    on_event: Callable[[str, Mapping[str, Any]], None]
    parameters: Mapping[str, Any]
    """What every member's offer holds."""
    cast_id: int
    group_key: bytes
    cap_bytes_per_s: float
    seats: dict[str, Seat] = field(default_factory=dict)
    """By session."""
    empty_since: float = 0.0
    """Since when nobody has a seat."""
    share_bytes_per_s: float = 0.0
    """What the common budget gives it now."""
    begun: bool = False
    _numbers: int = 0

    # ------------------------------------------------------------------ seats

    def seat(self, session: ServedSession, options: CastOptions) -> Seat:
        """Give a session its place."""
        self._numbers += 1
        seat = Seat(session=session, member=self._numbers, options=options)
        self.seats[session.id] = seat
        return seat

    def offer(self, seat: Seat) -> dict[str, Any]:
        """Parameters of its offer."""
        return {
            **self.parameters,
            "sequence": self.cast.sequence,
            "rate_bytes_per_s": round(self.cast.rate.rate_bytes_per_s),
            "member": seat.member,
            "key": base64.b64encode(self.group_key).decode(),
            "start_timeout_s": seat.options.start_timeout_s,
            "receive_timeout_s": seat.options.receive_timeout_s,
            "unmet": self.unmet(seat.options),
        }

    def unmet(self, wished: CastOptions) -> str:
        """What it has instead of what an option string wishes of it; empty if it is as that says."""
        rate = self.cap_bytes_per_s / MBIT_BYTES
        has = {
            f"group {self.endpoint}": wished.endpoint not in (None, self.endpoint),
            f"{rate:g} Mbit/s": wished.rate_bytes_per_s not in (None, round(self.cap_bytes_per_s)),
            "another start": wished.start not in (None, self.options.start),
        }
        return ", ".join(text for text, differs in has.items() if differs)

    @property
    def members(self) -> list[Seat]:
        """Seats whose member is connected."""
        return [seat for seat in self.seats.values() if seat.lane is not None]

    @property
    def busy(self) -> bool:
        """Somebody lacks something that is to be sent."""
        return self.begun and any(seat.sitting and seat.way in ("multicast", "late") for seat in self.seats.values())

    # ------------------------------------------------------------------ what members say

    def expect(self, seat: Seat) -> None:
        """The client of `seat` lacks everything, and listens from now on: it is a member before its lane is there, if
        the cast waits for nothing. One that never comes is forgotten with its session."""
        if not self.gate.open:
            return
        if not self.begun:
            self._begin(members=1)
        seat.sitting = seat.expected = True
        seat.expected_until = time.monotonic() + EXPECTED_S
        seat.way = "multicast"
        self._call(self._adding(seat, np.ones(seat.session.manifest.chunk_count, dtype=np.bool_), probe=False))

    async def join(self, seat: Seat, lane: MemberLane, wanted: NDArray[np.bool_], *, listened: bool = False) -> None:
        """A member is here (again). Raises BusyError."""
        if seat.lane is not None and seat.lane is not lane:
            await seat.lane.close()
        expected, seat.expected = seat.expected, False
        stays = expected and listened and seat.sitting and seat.way == "multicast" and bool(wanted.all())
        seat.lane, seat.reason, seat.probe, seat.health = lane, "", None, None
        if stays:
            await self._welcome(seat, lambda cast, now: cast.handle_probe_wanted(now), probe=True)
            return
        if seat.sitting:  # a new membership: its reports are numbered anew
            self._call(lambda cast, now: cast.remove_member(seat.member))
        if self.begun:
            await self._admit(seat, wanted, probe=True)
            return
        seat.wanted = wanted
        # Nothing is sent before the cast begins, but probes are: whoever cannot hear learns it now.
        await self._admit(seat, np.zeros_like(wanted), probe=True)
        seat.way = "waiting"
        await self.tick()

    def without(self, seat: Seat, chunks: NDArray[np.bool_]) -> None:
        """A member gets these another way."""
        if seat.wanted is not None:
            seat.wanted = seat.wanted & ~chunks
        self._call(lambda cast, now: cast.handle_withdrawn(seat.member, chunks))

    def again(self, seat: Seat, chunks: NDArray[np.bool_]) -> None:
        """What a member was to get another way does not come so."""
        if seat.wanted is not None:  # it waits for the start, and all of it is said then
            seat.wanted = seat.wanted | chunks
            return
        self._call(lambda cast, now: cast.handle_again(seat.member, chunks, now))

    def probed(self, seat: Seat, message: Probed) -> None:
        """A member says whether multicast reaches it."""
        seat.probe = message
        if message.outcome == "nothing":  # of what is lost in part, reports tell from now on; this would stay
            seat.reason = message.reason
        self._tell("member_probed", seat, outcome=message.outcome, loss=round(message.loss, 4), reason=message.reason)

    def done(self, seat: Seat) -> None:
        """A member has everything."""
        seat.way, seat.wanted = "done", None
        self._call(lambda cast, now: cast.handle_done(seat.member))

    def left(self, seat: Seat, lane: MemberLane, reason: str) -> None:
        """A lane ended; nothing of a newer one is touched."""
        if seat.lane is lane:
            self._unseat(seat)
            if seat.way not in ("done", "unicast"):
                seat.way = "gone"
            seat.reason = reason or seat.reason

    # ------------------------------------------------------------------ what the machine says

    def handle_verdict(self, verdict: Verdict) -> None:
        """The machine changes how a member is served."""
        seat = next((seat for seat in self.seats.values() if seat.member == verdict.member), None)
        if seat is None:
            return
        seat.way, seat.reason = verdict.lane, verdict.reason
        self._tell("member_moved", seat, lane=verdict.lane, reason=verdict.reason)
        if seat.lane is not None:
            seat.lane.send(LaneChange(lane=verdict.lane, reason=verdict.reason[:512]))

    def handle_damaged(self, chunk: int, reason: str) -> None:
        """A chunk cannot be read: nobody waits for it."""
        for seat in self.members:
            assert seat.lane is not None
            seat.lane.send(Damaged(chunk=chunk, reason=reason[:512]))

    # ------------------------------------------------------------------ time

    async def tick(self) -> None:
        """Open the gate when it is time; tell those who wait; forget those who were expected and do not come."""
        waiting = [seat for seat in self.members if seat.wanted is not None]
        now = time.monotonic()
        for seat in self.seats.values():
            if seat.expected and now >= seat.expected_until:
                seat.expected, seat.way = False, "gone"
                self._unseat(seat)
        if not self.begun and self.gate.poll_open(now, wall_s=local_wall_s(), members=len(waiting)):
            self._begin(members=len(waiting))
        if self.begun:
            # All at once, so that nobody misses the first chunks while others are let in.
            held = [(seat, seat.wanted) for seat in waiting if seat.wanted is not None]
            for seat, _ in held:
                seat.wanted = None
            await asyncio.gather(*(self._let_in(seat, wanted) for seat, wanted in held))
            return
        needed, starts_in_s = self.gate.wait(now)
        for seat in waiting:
            seat.reason = self.gate.reason(now, members=len(waiting))
            if seat.lane is not None:
                seat.lane.send(Waiting(members=len(waiting), needed=needed, starts_in_s=starts_in_s))

    def share(self, rate_bytes_per_s: float) -> None:
        """What the common budget leaves."""
        if rate_bytes_per_s != self.share_bytes_per_s:
            self.share_bytes_per_s = rate_bytes_per_s
            self._call(lambda cast, now: cast.handle_share(rate_bytes_per_s))

    async def close(self, reason: str, *, retry: bool) -> None:
        """Tell every member, end the thread."""
        await asyncio.gather(*(self.dismiss(seat, reason, retry=retry) for seat in self.members))
        self.seats.clear()
        await asyncio.to_thread(self.sender.stop)

    async def dismiss(self, seat: Seat, reason: str, *, retry: bool) -> None:
        """Close one member's lane with the reason."""
        lane = seat.lane
        self._unseat(seat)
        if lane is not None:
            lane.send(Closing(reason=reason[:512], retry=retry))
            await lane.close()

    # ------------------------------------------------------------------ for the operator

    def state(self, seat: Seat) -> dict[str, Any]:
        """How a member is doing: what it says itself, what its reports say."""
        found: dict[str, Any] = {
            "cast": self.cast_id,
            "group": str(self.endpoint),
            "lane": seat.way,
            "reason": seat.reason,
        }
        member = self.cast.members.get(seat.member) if seat.sitting else None
        if member is not None:
            found |= {
                "network_loss": round(member.loss, 5),
                "host_overflow": round(member.overflow, 5),
                "backlog": round(member.backlog, 3),
                "write_bytes_per_s": member.write_bytes_per_s,
                "missing_chunks": member.missing_chunks,
                "round_trip_ms": None if member.round_trip_s is None else round(member.round_trip_s * MS, 2),
                "cast_rate_bytes_per_s": round(self.cast.rate.rate_bytes_per_s),
                "cast_limited_by": self.cast.rate.limited_by,
            }
        if seat.health is not None:
            found["rate_bytes_per_s"] = seat.health.rate_bytes_per_s
            found["forged"] = seat.health.forged
        if seat.probe is not None:
            found["probe"] = seat.probe.outcome
        return found

    def totals(self) -> dict[str, float]:
        """Running totals, which go on to count for the daemon when the cast has ended."""
        totals, sender = self.cast.totals, self.sender
        return {
            "bytes_sent": totals.wire_bytes,
            "chunks_sent": totals.chunks,
            "chunks_sent_again": totals.chunks_again,
            "packets_sent": totals.packets,
            "repairs_sent": totals.repairs,
            "reports": totals.reports,
            "reports_refused": totals.reports_refused + totals.entries_refused,
            "send_errors": sender.counters.send_errors,
            "chunks_unreadable": sender.counters.read_errors,
            "limit_send_buffer": sender.packets_lost,
            "limit_repairs_tracked": totals.repairs_forgotten,
            "limit_report_entries": totals.reports_cut,
            "limit_reports": totals.reports_passed_over,
            "limit_calls": sender.calls_refused,
        }

    # ------------------------------------------------------------------ inside

    def _begin(self, *, members: int) -> None:
        self.begun = True
        self.on_event("cast_begun", {"cast": self.cast_id, "group": str(self.endpoint), "members": members})

    def _adding(self, seat: Seat, wanted: NDArray[np.bool_], *, probe: bool) -> Callable[[Cast, float], None]:
        key = report_key(seat.session.key, cast=self.cast_id, member=seat.member)
        return lambda cast, now: cast.add_member(seat.member, key=key, wanted=wanted, now=now, probe=probe)

    async def _admit(self, seat: Seat, wanted: NDArray[np.bool_], *, probe: bool) -> None:
        seat.sitting, seat.reason = True, ""  # what it waited for, or was elsewhere for, is over
        await self._welcome(seat, self._adding(seat, wanted, probe=probe), probe=probe)

    async def _let_in(self, seat: Seat, wanted: NDArray[np.bool_]) -> None:
        """Admit one that waited. Where that cannot be, it is sent away to come again: it would wait for ever."""
        try:
            await self._admit(seat, wanted, probe=False)
        except BusyError as error:
            await self.dismiss(seat, str(error), retry=True)

    async def _welcome(self, seat: Seat, work: Callable[[Cast, float], None], *, probe: bool) -> None:
        """Do `work` in the machine, and tell the member where the cast stands then."""

        def run(cast: Cast, now: float) -> tuple[int, float]:
            work(cast, now)
            return cast.sequence, cast.report_interval_s

        sequence, interval_s = await asyncio.wrap_future(self.sender.call(run))
        if seat.lane is None:  # it left meanwhile, and what it left as stays
            self._unseat(seat)
            return
        seat.way = "multicast"
        seat.lane.send(
            Joined(
                member=seat.member,
                sequence=sequence,
                report_interval_ms=max(1, round(interval_s * MS)),
                probes=PROBES if probe else 0,
            )
        )

    def _unseat(self, seat: Seat) -> None:
        seat.lane = seat.wanted = None
        if seat.sitting:
            seat.sitting = False
            self._call(lambda cast, now: cast.remove_member(seat.member))

    def _call(self, work: Callable[[Cast, float], object]) -> None:
        self.sender.call(work).add_done_callback(_ignore_ended)

    def _tell(self, name: str, seat: Seat, **fields: Any) -> None:
        self.on_event(name, {"session": seat.session.id, "host": seat.session.host, "cast": self.cast_id, **fields})


def local_wall_s() -> float:
    """Seconds since midnight, local time."""
    now = time.localtime()
    return (now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec) % DAY_S


def _ignore_ended(future: concurrent.futures.Future[object]) -> None:
    """A cast that ended has no members to change; other errors are faults and are raised where they are looked at."""
    error = future.exception()
    if error is not None and not isinstance(error, OgcastError):
        raise error
