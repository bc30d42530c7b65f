"""A member of a swarm for tests of the server half: it says what a test tells it to, and takes chunks when asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from core.ids import ChunkIndex, SessionId
from images.manifest import Manifest
from transports.base import Offer, ServedSession, ServerContext
from transports.conformance.sample import SampleStore, sample_image
from transports.member.handshake import enter
from transports.member.lane import MemberLane
from transports.member.proto.maps import pack_wants
from transports.p2p.proto.messages import DECODER, Announce, SwarmMessage
from transports.p2p.server import SwarmServer

__all__ = ["KEY", "Guest", "Room", "announce", "running"]

KEY = bytes(range(32))
WAIT_S = 10.0

Message = TypeVar("Message")


def announce(
    chunks: int,
    *,
    held: Iterable[int] = (),
    wanted: Iterable[int] | None = None,
    port: int = 40_000,
    subnet: str = "",
    mode: str = "peer",
) -> Announce:
    """Who holds `held` and wants the rest, unless told otherwise."""
    has = np.zeros(chunks, dtype=np.bool_)
    has[list(held)] = True
    lacks = ~has
    if wanted is not None:
        lacks = np.zeros(chunks, dtype=np.bool_)
        lacks[list(wanted)] = True
    return Announce(port=port, subnet=subnet, mode=mode, wanted=pack_wants(lacks), held=pack_wants(has))


class Guest:
    """One client's member lane."""

    def __init__(self, room: Room, session: SessionId, lane: MemberLane[SwarmMessage]) -> None:
        self.room = room
        self.session = session
        self.lane = lane
        self.heard: list[SwarmMessage] = []

    def say(self, message: SwarmMessage) -> None:
        """Send."""
        self.lane.send(message)

    async def hear(self, kind: type[Message]) -> Message:
        """The next message of this kind; others before it are kept in `heard`."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await self.lane.receive()
                assert message is not None, f"the lane ended; heard {self.heard}"
                self.heard.append(message)
                if isinstance(message, kind):
                    return message

    async def hear_end(self) -> list[SwarmMessage]:
        """Everything until the lane is closed."""
        async with asyncio.timeout(WAIT_S):
            while (message := await self.lane.receive()) is not None:
                self.heard.append(message)
        return self.heard


class Room:
    """A running server half with one image."""

    def __init__(self, server: SwarmServer, manifest: Manifest, store: SampleStore) -> None:
        self.server = server
        self.manifest = manifest
        self.store = store
        chunks = map(ChunkIndex, range(manifest.chunk_count))
        self.stored_bytes = sum(store.locate(manifest.digest(chunk)).length for chunk in chunks)
        """Of the whole image."""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._news = asyncio.Event()
        self._guests: list[Guest] = []
        self._opened = 0

    def note(self, name: str, fields: Mapping[str, Any]) -> None:
        """An event of the server half."""
        self.events.append((name, dict(fields)))
        self._news.set()

    async def happens(self, name: str, **wanted: object) -> dict[str, Any]:
        """Fields of the first event of this name that has those `wanted`, when it has come."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for each, fields in self.events:
                    if each == name and wanted.items() <= fields.items():
                        return fields
                self._news.clear()
                await self._news.wait()

    def open(self, *, options: str = "") -> tuple[SessionId, Offer]:
        """A new session."""
        self._opened += 1
        session = SessionId(f"session-{self._opened}")
        served = ServedSession(
            id=session,
            key=KEY,
            manifest=self.manifest,
            chunks=self.store,
            options=options,
            stored_bytes=self.stored_bytes,
        )
        return session, self.server.open_session(served)

    async def enter(self, session: SessionId, *, key: bytes = KEY) -> Guest:
        """Open its member lane."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        lane: MemberLane[SwarmMessage] = MemberLane(reader, writer, DECODER)
        guest = Guest(self, session, lane)
        self._guests.append(guest)
        await enter(reader, writer, session_id=session, key=key)
        return guest

    async def join(self, message: Announce | None = None) -> Guest:
        """A session, its lane, its announcement."""
        session, _ = self.open()
        guest = await self.enter(session)
        guest.say(message or announce(self.manifest.chunk_count))
        return guest

    async def close(self) -> None:
        """Everybody goes."""
        for guest in self._guests:
            await guest.lane.close()


@contextlib.asynccontextmanager
async def running(*, chunks: int = 40, **settings: Any) -> AsyncIterator[Room]:
    """A server half on loopback."""
    manifest, store, _ = sample_image(chunks=chunks)
    heard: list[Room] = []
    server = SwarmServer(
        ServerContext(
            host="127.0.0.1",
            advertise=None,
            interface=None,
            settings={"port": 0, **settings},
            on_event=lambda name, fields: heard[0].note(name, fields),
        )
    )
    room = Room(server, manifest, store)
    heard.append(room)
    await server.start()
    try:
        yield room
    finally:
        await room.close()
        await server.stop(grace_s=0.2)
        store.close()
