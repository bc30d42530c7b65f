"""The origin: lanes of unicast at which members take the chunks they were assigned (docs/wire-unicast.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.errors import LockedError
from images.stores import ChunkReader
from transports.base import ServedSession, ServerContext
from transports.p2p.proto.assigned import Assigned
from transports.p2p.proto.budgets import SubnetBudgets
from transports.p2p.proto.subnets import subnet_of
from transports.p2p.settings import SwarmSettings
from transports.unicast.lane import Lane
from transports.unicast.lanes import LaneServer
from transports.unicast.proto.frames import Status
from transports.unicast.proto.grants import Grant, LookUp, Store
from transports.unicast.settings import UnicastSettings

__all__ = ["Origin"]

OFFSET = 10
"""The port is so far above that of the member lanes, unless repod.toml names one."""


class Origin:
    """The `LaneBook` of its lanes: sessions come and go on repod's loop, and are looked up on the lane thread."""

    def __init__(self, context: ServerContext, settings: SwarmSettings) -> None:
        self._context = context
        self._settings = settings
        self._sessions: dict[str, ServedSession] = {}
        self._assigned: dict[str, Assigned] = {}
        """By session."""
        self._subnets: dict[str, str] = {}
        """By session, of those that announced themselves."""
        self._budgets = SubnetBudgets(
            bytes_per_s=settings.subnet_mbit_per_s * 125_000,
            exceptions={name: rate * 125_000 for name, rate in settings.subnets.items()},
        )
        self._lanes: LaneServer | None = None

    @property
    def port(self) -> int:
        """Call after `start`."""
        assert self._lanes is not None
        return self._lanes.port

    def start(self, *, member_port: int) -> None:
        """Listen. Raises a LocalError with a hint."""
        beside = member_port + OFFSET
        ports = [self._settings.origin_port]
        if not self._settings.origin_port and self._settings.port and beside <= 65535:
            ports = [beside, 0]
        for port in ports:
            lanes = LaneServer(
                self,
                host=self._context.host,
                settings=UnicastSettings(
                    port=port,
                    lanes_at_once=self._settings.origin_lanes_at_once,
                    max_lanes=2 * self._settings.max_members,
                ),
                on_event=self._context.on_event,
                where="origin_port in [transports.p2p]",
                gate=self if self._budgets.limited else None,
                follow_losses=True,  # as peers do: else they take its part of each link
            )
            try:
                lanes.start()
            except LockedError:
                if port == ports[-1]:
                    raise
            else:
                self._lanes = lanes
                return

    async def stop(self, *, grace_s: float) -> None:
        """See LaneServer."""
        if self._lanes is not None:
            await self._lanes.stop(grace_s=grace_s)

    def open(self, session: ServedSession) -> None:
        """Its client may take chunks."""
        self._assigned[session.id] = Assigned(session.manifest.chunk_count)
        self._sessions[session.id] = session

    def allow(self, session_id: str, chunks: Iterable[int]) -> None:
        """Its client was assigned these: it may take them."""
        if (assigned := self._assigned.get(session_id)) is not None:
            assigned.add(chunks)

    def deny(self, session_id: str, chunks: Iterable[int]) -> None:
        """Not any more: it has them, or somebody else is to take them. What was asked for already is sent."""
        if (assigned := self._assigned.get(session_id)) is not None:
            assigned.remove(chunks)

    def place(self, session_id: str, subnet: str) -> None:
        """Its client is in this subnet."""
        if session_id in self._sessions:
            self._subnets[session_id] = subnet

    def close(self, session_id: str, reason: str) -> None:
        """No more."""
        self._sessions.pop(session_id, None)
        self._assigned.pop(session_id, None)
        self._subnets.pop(session_id, None)
        if self._lanes is not None:
            self._lanes.break_session(session_id, reason)

    def counters(self) -> Mapping[str, float]:
        """See LaneServer."""
        if self._lanes is None:
            return {}
        return {**self._lanes.counters(), "limit_subnet_budget": self._budgets.held_back}

    # ------------------------------------------------------------------ LaneBook

    def find(self, session_id: str) -> Grant | None:
        """See LaneBook."""
        session, assigned = self._sessions.get(session_id), self._assigned.get(session_id)
        if session is None or assigned is None:
            return None
        return Grant(key=session.key, image=session.manifest, holdings=assigned)

    def chunks_of(self, session_id: str) -> ChunkReader | None:
        """See LaneBook."""
        session = self._sessions.get(session_id)
        return None if session is None else session.chunks

    def do_work(self, lane: Lane, work: LookUp | Store) -> None:
        """See LaneBook. There are no captures here, so nothing ever gets so far."""
        lane.end(Status.CLOSED, "no capture")

    # ------------------------------------------------------------------ LaneGate

    @property
    def opens_at(self) -> float:
        """See LaneGate."""
        return self._budgets.opens_at

    def ask(self, lane: Lane, now: float) -> bool:
        """See LaneGate: the budget of the client's subnet decides."""
        # Who has not announced itself is where its address is: nobody gets by without a subnet.
        session_id = lane.machine.session_id or ""
        return self._budgets.ask(lane.number, self._subnets.get(session_id) or subnet_of(lane.address), now)

    def spend(self, lane: Lane, count: int, now: float) -> None:
        """See LaneGate."""
        self._budgets.spend(lane.number, count, now)

    def leave(self, lane: Lane, now: float) -> None:
        """See LaneGate."""
        self._budgets.leave(lane.number, now)

    def handle_timer(self, now: float) -> None:
        """See LaneGate."""
        self._budgets.handle_timer(now)

    def poll_granted(self) -> int | None:
        """See LaneGate."""
        return self._budgets.poll_granted()
