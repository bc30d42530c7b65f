"""Members of a swarm that listen and misbehave, for tests: their member lanes live, and their peer lanes do as told.

What they claim to hold is everything; what they do when they are asked is the test's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np

from core.errors import OgcastError
from images.stores import Encoding
from tests.support.swarms import Guest, Room, announce
from tests.transports.p2p.proto.test_messages import HEALTH
from transports.member.proto.maps import pack_wants
from transports.p2p.proto.credentials import credential, is_far, member_of
from transports.p2p.proto.limits import HEALTH_EVERY_S
from transports.p2p.proto.messages import Welcome
from transports.unicast.proto.frames import Header, Op
from transports.unicast.proto.grants import Grant
from transports.unicast.proto.patience import LaneTimes
from transports.unicast.proto.reads import Read
from transports.unicast.proto.server import ServerLane

__all__ = ["Liar", "lying", "mute", "silent", "talk"]

READ_BYTES = 65536
Answer = Callable[["Liar", ServerLane, asyncio.StreamWriter, Read], Awaitable[None]]


async def silent(liar: Liar, lane: ServerLane, writer: asyncio.StreamWriter, read: Read) -> None:
    """Promise, and never send."""


class Liar:
    """Holds everything, it says."""

    def __init__(self, room: Room, guest: Guest, answer: Answer) -> None:
        self.room = room
        self.guest = guest
        self.answer = answer
        self.key = b""
        self.member = 0
        self.asked: list[int] = []
        """Chunks others asked of it."""
        self.admitted = 0
        self.map: bytes | None = None
        """What MAP is answered with, if not the truth it claims."""
        self._tasks: set[asyncio.Task[None]] = set()

    # Holdings
    def holds(self, chunk: int) -> bool:
        return True

    def packed(self) -> bytes:
        return pack_wants(np.ones(self.room.manifest.chunk_count, dtype=np.bool_)) if self.map is None else self.map

    def frame(
        self, read: Read, stored: bytes, *, encoding: Encoding = Encoding.RAW, length: int | None = None
    ) -> bytes:
        """An answer to READ, as bytes."""
        header = Header(
            op=Op.READ,
            reply=True,
            encoding=encoding,
            message=read.message,
            subject=read.chunk,
            length=len(stored) if length is None else length,
        )
        return header.encode() + stored

    def good_frame(self, chunk: int) -> tuple[bytes, Encoding]:
        """What a good peer would send."""
        stored = self.room.store.locate(self.room.manifest.digest(chunk))  # type: ignore[arg-type]
        return os.pread(stored.fd, stored.length, stored.offset), stored.encoding

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        loop = asyncio.get_running_loop()
        lane = ServerLane(find=self._find, nonce=os.urandom(32), times=LaneTimes(), window_bytes=1, now=loop.time())
        opened = False
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(READ_BYTES):
                lane.handle_bytes(data, loop.time())
                if lane.session_id is not None and not opened:
                    opened = True
                    self.admitted += 1
                while (control := lane.poll_control()) is not None:
                    writer.write(control)
                while (polled := lane.poll_read()) is not None:
                    self.asked.append(polled[0].chunk)
                    await self.answer(self, lane, writer, polled[0])
        writer.close()
        self._tasks.discard(task)

    def _find(self, name: str) -> Grant | None:
        member = member_of(name)
        if member is None or not self.key:
            return None
        return Grant(key=credential(self.key, member, far=is_far(name)), image=self.room.manifest, holdings=self)

    async def stop(self) -> None:
        """End all connections."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def lying(room: Room, answer: Answer = silent) -> AsyncIterator[Liar]:
    """A member that says it holds everything and listens."""
    made: list[Liar] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await made[0].serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    chunks = room.manifest.chunk_count
    try:
        guest = await room.join(announce(chunks, held=range(chunks), port=server.sockets[0].getsockname()[1]))
        made.append(Liar(room, guest, answer))
        welcome = await guest.hear(Welcome)
        made[0].key, made[0].member = welcome.listen_key, welcome.member
        alive = asyncio.create_task(_stay(guest))
        talking = asyncio.create_task(talk(guest))
        try:
            yield made[0]
        finally:
            for task in (alive, talking):
                task.cancel()
            await asyncio.gather(alive, talking, return_exceptions=True)
    finally:
        server.close()
        for liar in made:
            await liar.stop()


@contextlib.asynccontextmanager
async def mute(room: Room) -> AsyncIterator[None]:
    """A member that says it holds everything, takes connections, and never answers on them, not even the handshake."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    chunks = room.manifest.chunk_count
    guest = await room.join(announce(chunks, held=range(chunks), port=server.sockets[0].getsockname()[1]))
    await guest.hear(Welcome)
    tasks = [asyncio.create_task(_stay(guest)), asyncio.create_task(talk(guest))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close()
        for writer in writers:
            writer.close()


async def talk(guest: Guest) -> None:
    """Say that all is well, as often as others do."""
    while True:
        guest.say(HEALTH)
        await asyncio.sleep(HEALTH_EVERY_S)


async def _stay(guest: Guest) -> None:
    """Hear what repod says, so that the lane lives."""
    with contextlib.suppress(OgcastError):
        while (message := await guest.lane.receive()) is not None:
            guest.heard.append(message)
