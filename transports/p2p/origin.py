"""The origin: lanes of unicast at which members take the chunks they were assigned (docs/wire-unicast.md)."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import LockedError
from images.stores import ChunkReader
from transports.base import ServedSession, ServerContext
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
        self._sessions[session.id] = session

    def close(self, session_id: str, reason: str) -> None:
        """No more."""
        self._sessions.pop(session_id, None)
        if self._lanes is not None:
            self._lanes.break_session(session_id, reason)

    def counters(self) -> Mapping[str, float]:
        """See LaneServer."""
        return {} if self._lanes is None else self._lanes.counters()

    # ------------------------------------------------------------------ LaneBook

    def find(self, session_id: str) -> Grant | None:
        """See LaneBook."""
        session = self._sessions.get(session_id)
        return None if session is None else Grant(key=session.key, image=session.manifest)

    def chunks_of(self, session_id: str) -> ChunkReader | None:
        """See LaneBook."""
        session = self._sessions.get(session_id)
        return None if session is None else session.chunks

    def do_work(self, lane: Lane, work: LookUp | Store) -> None:
        """See LaneBook. There are no captures here, so nothing ever gets so far."""
        lane.end(Status.CLOSED, "no capture")
