"""Server half of P2P: swarms made on demand, one for each image version, their member lanes, and the origin lanes.

Member lanes and all decisions live on repod's loop; chunks leave through lanes of unicast, on that server's own thread.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from core.errors import BusyError, LocalError, OgcastError, UsageError
from core.ids import SessionId
from transports.base import CaptureGrant, Offer, Sample, ServedSession, ServerContext
from transports.member.clock import Clock
from transports.member.door import Door
from transports.member.handshake import admit
from transports.member.lane import MemberLane
from transports.member.listening import listen_for_lanes
from transports.member.proto.allowance import Allowance
from transports.p2p.figures import COUNTERS, SAMPLES_MAX, samples_of, totals_of
from transports.p2p.origin import Origin
from transports.p2p.proto.directory import Directory
from transports.p2p.proto.limits import KEY_BYTES
from transports.p2p.proto.messages import (
    DECODER,
    Announce,
    BadChunk,
    Closing,
    Failed,
    Gone,
    Have,
    Leave,
    Lost,
    Need,
    SwarmMessage,
    Want,
)
from transports.p2p.proto.options import parse_options
from transports.p2p.settings import SwarmSettings
from transports.p2p.swarm import Seat, Swarm, SwarmLane

__all__ = ["SwarmServer"]

TICK_S = 0.25
LANE_IDLE_S = 15.0
"""A member that says nothing on its lane for so long is gone; it says how it is every 2 s."""
MESSAGES_PER_S = 200.0
MESSAGES_AT_ONCE = 2000.0
"""What a member may say; who says more is heard later."""
ANNOUNCE_COST = 200.0
COSTLY = 20.0
"""What makes the directory look at every member."""
CHUNKS_A_MESSAGE = 64
"""A list of so many chunks costs as much as a message."""


class SwarmServer:
    """A `ServerTransport`. Everything runs on repod's loop but the origin lanes."""

    def __init__(self, context: ServerContext) -> None:
        """Raises UsageError for settings that make no sense."""
        self._context = context
        self._settings = SwarmSettings.load(context.settings)
        self._random = random.SystemRandom()
        self._swarms: dict[bytes, Swarm] = {}
        """By root of the image."""
        self._seats: dict[str, Seat] = {}
        """By session."""
        self._listener: asyncio.Server | None = None
        self._origin = Origin(context, self._settings)
        self._counts: Counter[str] = Counter()
        self._clock = Clock(self._tick, interval_s=TICK_S, counts=self._counts)
        self._door = Door(limit=2 * self._settings.max_members, counts=self._counts)
        self._ended: Counter[str] = Counter()
        self._port = 0

    # ------------------------------------------------------------------ repod's side

    @property
    def port(self) -> int:
        """The port of the member lanes. Call after `start`."""
        return self._port

    @property
    def origin_port(self) -> int:
        """The port of the origin lanes. Call after `start`."""
        return self._origin.port

    async def start(self) -> None:
        """See ServerTransport."""
        self._listener = await listen_for_lanes(
            self._handle_connection, host=self._context.host, port=self._settings.port, transport="p2p"
        )
        self._port = int(self._listener.sockets[0].getsockname()[1])
        try:
            self._origin.start(member_port=self._port)
        except LocalError:
            self._listener.close()
            raise
        self._clock.start()

    async def stop(self, *, grace_s: float) -> None:
        """See ServerTransport."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.close()
        await self._clock.stop()
        for seat in list(self._seats.values()):
            seat.swarm.dismiss(seat, "the repository stops", retry=True)
        self._seats.clear()
        await self._origin.stop(grace_s=grace_s)
        await self._door.close()

    def open_session(self, session: ServedSession) -> Offer:
        """See ServerTransport."""
        options = parse_options(session.options, default=self._settings.options)
        swarm = self._swarms.get(session.manifest.root)
        if swarm is None:
            swarm = self._swarms[session.manifest.root] = self._make(session)
        elif len(swarm.seats) >= self._settings.max_members:
            self._counts["limit_max_members"] += 1
            raise BusyError(f"the swarm has {self._settings.max_members} members, which is the limit")
        self._seats[session.id] = swarm.seat(session, options)
        self._origin.open(session)
        parameters: dict[str, Any] = {
            "port": self._port,
            "origin_port": self._origin.port,
            "mode": options.mode,
            "seconds": options.seconds,
            "upload_bytes_per_s": int(self._settings.upload_mbit_per_s * 125_000),
            "upload_far_bytes_per_s": int(self._settings.upload_far_mbit_per_s * 125_000),
            "dscp": self._settings.dscp,
        }
        host = self._context.advertise or self._context.host
        if host not in ("", "0.0.0.0", "::"):
            parameters["host"] = host
        return Offer(transport="p2p", parameters=parameters)

    def close_session(self, session_id: SessionId, reason: str) -> None:
        """See ServerTransport."""
        seat = self._seats.pop(session_id, None)
        if seat is None:
            return
        seat.swarm.dismiss(seat, reason, retry=False)
        self._origin.close(session_id, reason)

    def open_capture(self, grant: CaptureGrant) -> Offer:
        """See ServerTransport."""
        raise UsageError("p2p carries no captures")

    def session_state(self, session_id: SessionId) -> Mapping[str, Any]:
        """See ServerTransport."""
        seat = self._seats.get(session_id)
        return {} if seat is None else seat.swarm.state(seat)

    def counters(self) -> Mapping[str, float]:
        """See ServerTransport."""
        totals: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        totals.update({name: int(value) for name, value in self._origin.counters().items()})
        totals.update(self._counts)
        totals.update(self._ended)
        for swarm in self._swarms.values():
            totals.update(totals_of(swarm))
        members = sum(len(swarm.members) for swarm in self._swarms.values())
        return {**totals, "clients": members, "swarms": len(self._swarms)}

    def samples(self) -> list[Sample]:
        """See Sampling."""
        samples = list(itertools.islice(samples_of(self._swarms.values()), SAMPLES_MAX + 1))
        self._counts["limit_samples"] += len(samples) > SAMPLES_MAX
        return samples[:SAMPLES_MAX]

    # ------------------------------------------------------------------ swarms

    def _make(self, session: ServedSession) -> Swarm:
        if len(self._swarms) >= self._settings.max_swarms:
            self._counts["limit_max_swarms"] += 1
            raise BusyError(f"{self._settings.max_swarms} images have swarms, which is the limit")
        manifest = session.manifest
        directory = Directory(
            chunks=manifest.chunk_count,
            digest=lambda chunk: manifest.digest(chunk),
            secret=os.urandom(KEY_BYTES),
            rules=self._settings.rules.reaching(manifest.chunk_size),
            rng=self._random,
        )
        self._counts["swarms_made"] += 1
        return Swarm(
            manifest,
            session.chunks,
            directory,
            self._context.on_event,
            on_assigned=self._origin.allow,
            on_taken_back=self._origin.deny,
            stored_bytes=session.stored_bytes,
        )

    async def _tick(self) -> None:
        now = time.monotonic()
        for root, swarm in list(self._swarms.items()):
            with self._clock.guarded():
                if not swarm.seats and now - swarm.empty_since >= self._settings.linger_s:
                    self._ended.update(totals_of(self._swarms.pop(root)))
                else:
                    swarm.tick()

    # ------------------------------------------------------------------ member lanes

    async def _handle_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        lane: SwarmLane = MemberLane(reader, writer, DECODER)
        try:
            if not self._door.enter(task):
                return
            seat = await admit(reader, writer, find=self._find)
            self._door.handle_proven(task)
            self._counts["member_lanes_opened"] += 1
            await self._serve(lane, seat)
        except (OgcastError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._counts["member_lanes_refused"] += 1
            self._context.on_event("lane_broken", {"peer": lane.peer, "reason": str(error) or type(error).__name__})
        except asyncio.CancelledError:
            pass  # the daemon stops, or a stranger makes room
        finally:
            self._door.leave(task)
            await lane.close()

    def _find(self, session_id: str) -> tuple[bytes, Seat] | None:
        seat = self._seats.get(session_id)
        return None if seat is None else (seat.session.key, seat)

    async def _serve(self, lane: SwarmLane, seat: Seat) -> None:
        session_id = seat.session.id
        self._context.on_event("lane_opened", {"session": session_id, "peer": lane.peer})
        allowance = Allowance(rate=MESSAGES_PER_S, burst=MESSAGES_AT_ONCE, now=time.monotonic())
        reason, gone, slowed = "", False, False
        try:
            while True:
                async with asyncio.timeout(LANE_IDLE_S):
                    message = await lane.receive()
                if message is None:
                    return
                if isinstance(message, Leave):
                    reason, gone = message.reason, True
                    return
                if (wait_s := allowance.spend(_cost(message), time.monotonic())) > 0:
                    self._counts["limit_messages"] += 1
                    if not slowed:
                        self._context.on_event("member_slowed", {"session": session_id, "peer": lane.peer})
                    slowed = True
                    await asyncio.sleep(wait_s)
                seat.swarm.handle_message(seat, lane, message)
                if isinstance(message, Announce) and (member := seat.swarm.directory.member(seat.member)) is not None:
                    self._origin.place(session_id, member.subnet)
        except TimeoutError:
            reason = f"silent for {LANE_IDLE_S:.0f} s"
        except OgcastError as error:
            reason, gone = str(error), True
            lane.send(Closing(reason=reason[:512], retry=isinstance(error, BusyError)))
            raise
        finally:
            seat.swarm.handle_left(seat, lane, reason, gone=gone)
            self._context.on_event("lane_closed", {"session": session_id, "peer": lane.peer, "reason": reason})


def _cost(message: SwarmMessage) -> float:
    if isinstance(message, Announce):
        return ANNOUNCE_COST
    if isinstance(message, Need | BadChunk | Lost):
        return COSTLY
    chunks = message.chunks if isinstance(message, Have | Gone | Failed | Want) else ()
    return 1 + len(chunks) / CHUNKS_A_MESSAGE
