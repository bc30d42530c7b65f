"""One swarm under way: its seats and their lanes around the directory, which decides.

A seat is one session's place; a member sits on it while its lane is open. Lives on repod's event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import NotFoundError, OgcastError, ProtocolError, RepositoryTroubleError
from core.ids import ChunkIndex
from images.manifest import Manifest
from images.stores import ChunkReader
from transports.base import ServedSession
from transports.member.lane import MemberLane
from transports.p2p.proto.directory import Directory
from transports.p2p.proto.messages import (
    Announce,
    Assign,
    BadChunk,
    Banned,
    Closing,
    Done,
    Failed,
    Gone,
    Have,
    Health,
    Lost,
    Need,
    Release,
    SwarmMessage,
    Want,
)
from transports.p2p.proto.options import SwarmOptions

__all__ = ["Seat", "Swarm", "SwarmLane"]

SwarmLane = MemberLane[SwarmMessage]


@dataclass(slots=True, kw_only=True, eq=False)
class Seat:
    """One session in a swarm."""

    session: ServedSession
    options: SwarmOptions
    swarm: Swarm
    member: int = 0
    """Its number in the swarm; 0 before it announced itself."""
    lane: SwarmLane | None = None
    done: bool = False
    reason: str = ""
    """Why its lane ended."""


@dataclass(slots=True, eq=False)
class Swarm:
    """One image version and those who take it from each other."""

    manifest: Manifest
    chunks: ChunkReader
    directory: Directory
    on_event: Callable[[str, Mapping[str, Any]], None]
    on_assigned: Callable[[str, Sequence[int]], None]
    """A session is to take these from the origin …"""
    on_taken_back: Callable[[str, Sequence[int]], None]
    """… or no more: it has them, or another will."""
    stored_bytes: int = 0
    """Of the whole image; 0: not known."""
    empty_since: float = 0.0
    """Since when nobody has a seat."""
    seats: dict[str, Seat] = field(default_factory=dict)
    """By session."""
    _sitting: dict[int, Seat] = field(default_factory=dict)
    """By member."""

    def seat(self, session: ServedSession, options: SwarmOptions) -> Seat:
        """Give a session its place."""
        seat = self.seats[session.id] = Seat(session=session, options=options, swarm=self)
        return seat

    # ------------------------------------------------------------------ what members say

    def handle_message(self, seat: Seat, lane: SwarmLane, message: SwarmMessage) -> None:
        """A member says something. ProtocolError ends its lane, as does BusyError when there is no room for it."""
        now = time.monotonic()
        if isinstance(message, Announce):
            self._announce(seat, lane, message, now)
        elif seat.lane is not lane:
            raise ProtocolError(f"{type(message).__name__} before an announcement")
        else:
            self._hear(seat, message, now)
        self.flush(now)

    def _announce(self, seat: Seat, lane: SwarmLane, message: Announce, now: float) -> None:
        if self.seats.get(seat.session.id) is not seat:  # it ended after its lane had been let in
            raise NotFoundError("the session has ended")
        member = self.directory.handle_announce(seat.session.id, message, address=lane.peer, now=now)
        if seat.lane is not None and seat.lane is not lane:
            # The client came back before its broken connection was noticed here: the newest lane is the member's.
            seat.lane.send(Closing(reason="a newer connection took the place", retry=False))
            seat.lane.abort()
        self._sitting.pop(seat.member, None)
        seat.member, seat.lane, seat.done, seat.reason = member, lane, False, ""
        self._sitting[member] = seat

    def _hear(self, seat: Seat, message: SwarmMessage, now: float) -> None:
        directory = self.directory
        match message:
            case Have():
                directory.handle_have(seat.member, message.chunks, now)
                self.on_taken_back(seat.session.id, message.chunks)
            case Gone():
                directory.handle_gone(seat.member, message.chunks, now)
            case Failed():
                directory.handle_failed(seat.member, message.chunks, message.reason, now)
            case Need():
                directory.handle_need(seat.member, message.chunks, now)
            case Want():
                directory.handle_want(seat.member, message.chunks, now)
            case BadChunk():
                directory.handle_bad_chunk(seat.member, message, now)
            case Lost():
                directory.handle_lost(seat.member, message.peer, message.reason, now)
            case Health():
                directory.handle_health(seat.member, message)
            case Done():
                seat.done = True
                directory.handle_done(seat.member, now)
            case _:
                raise ProtocolError(f"{type(message).__name__} is not for the repository to hear")

    def handle_left(self, seat: Seat, lane: SwarmLane, reason: str, *, gone: bool) -> None:
        """A lane ended; nothing of a newer one is touched."""
        if seat.lane is not lane:
            return
        seat.lane, seat.reason = None, reason
        now = time.monotonic()
        self.directory.handle_left(seat.member, now, gone=gone)
        self.flush(now)

    # ------------------------------------------------------------------ time

    def tick(self) -> None:
        """A few times a second."""
        now = time.monotonic()
        self.directory.handle_timer(now)
        self.flush(now)

    def flush(self, now: float) -> None:
        """Send and tell what the directory has to say."""
        for chunk in self.directory.poll_suspects():
            try:
                self.chunks.locate(self.manifest.digest(ChunkIndex(chunk)))
            except RepositoryTroubleError as error:  # not damaged: who is assigned it again may have it then
                self.on_event("disk_trouble", {"chunk": chunk, "reason": str(error), "image": str(self.manifest.ref)})
            except OgcastError as error:
                self.directory.handle_damaged(chunk, str(error)[:512], now)
        for member, message in self.directory.poll_messages():
            seat = self._sitting.get(member)
            if seat is not None and seat.lane is not None:
                if isinstance(message, Assign):
                    self.on_assigned(seat.session.id, message.chunks)
                elif isinstance(message, Release):
                    self.on_taken_back(seat.session.id, message.chunks)
                seat.lane.send(message)
        for name, fields in self.directory.poll_events():
            self.on_event(name, {**fields, "image": str(self.manifest.ref)})
        for member, reason in self.directory.poll_expelled():
            seat = self._sitting.pop(member, None)
            if seat is not None and seat.lane is not None:
                seat.lane.send(Banned(ids=(member,)))
                seat.lane.send(Closing(reason=reason[:512], retry=False))
                seat.lane.finish()

    # ------------------------------------------------------------------ ends

    def dismiss(self, seat: Seat, reason: str, *, retry: bool) -> None:
        """The session is over: its client is told why, and is nobody's neighbour any more."""
        self.seats.pop(seat.session.id, None)
        self._sitting.pop(seat.member, None)
        now = time.monotonic()
        if not self.seats:
            self.empty_since = now
        lane, seat.lane = seat.lane, None
        self.directory.handle_left(seat.member, now, gone=True)
        self.directory.handle_closed(seat.session.id)
        if lane is not None:
            lane.send(Closing(reason=reason[:512], retry=retry))
            lane.finish()
        self.flush(now)

    # ------------------------------------------------------------------ for the operator

    @property
    def members(self) -> list[Seat]:
        """Seats whose member is connected."""
        return [seat for seat in self.seats.values() if seat.lane is not None]

    def state(self, seat: Seat) -> dict[str, Any]:
        """How a member is doing."""
        found: dict[str, Any] = {"mode": seat.options.mode}
        if seat.reason:
            found["reason"] = seat.reason
        member = self.directory.member(seat.member)
        if member is None:
            return {**found, "state": "gone" if seat.member else "offered"}
        scatter = self.directory.scatters[member.subnet]
        found |= {
            "state": "banned" if member.banned else "away" if not member.here else "done" if seat.done else "taking",
            "member": member.id,
            "mode": member.mode,
            "subnet": member.subnet,
            "missing_chunks": len(member.wanted),
            "held_chunks": len(member.held),
            "assigned_chunks": len(scatter.open_of(member.id)),
            "neighbours": len(self.directory.neighbours(member.id)),
        }
        if member.banned:
            found["reason"] = member.banned
        health = member.health
        if health is not None:
            found |= {
                "rate_bytes_per_s": health.rate,
                "bytes_from_same_subnet": health.from_same,
                "bytes_from_other_subnets": health.from_other,
                "bytes_from_origin": health.from_origin,
                "bytes_given": health.up_same + health.up_other,
                "bytes_given_to_other_subnets": health.up_other,
                "duplicate_chunks": health.duplicates,
                "backlog": round(health.backlog, 3),
                "connected_peers": health.neighbours,
            }
        return found
