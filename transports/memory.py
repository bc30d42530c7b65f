"""A transport inside one process: the reference that conformance checks and tests of repod and client are tried on.

It keeps the contract in the plainest way, without sockets, credits or turns. It is no built-in: a test registers it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from core.arena import Arena, Slot
from core.errors import (
    AuthenticationError,
    ChunkError,
    ConnectionFailedError,
    OgcastError,
    RemoteError,
    TransferError,
    UsageError,
)
from core.ids import ChunkIndex, SessionId
from core.wantmap import WantMap
from images.manifest import Manifest
from transports.base import (
    Capabilities,
    CaptureGrant,
    ClientContext,
    Delivery,
    Offer,
    ServedSession,
    ServerContext,
    TransportSpec,
)

__all__ = ["TRANSPORT", "MemoryClient", "MemoryServer"]

TRANSPORT = TransportSpec(
    name="memory",
    protocol="MEMORY",
    server="transports.memory:MemoryServer",
    client="transports.memory:MemoryClient",
    capabilities=Capabilities(),
)

MAX_REJECTIONS = 3
"""As every transport: then the chunk is given up."""

_servers: dict[int, MemoryServer] = {}


class MemoryServer:
    """A `ServerTransport`. Its offers name it by a number, good in this process only."""

    def __init__(self, context: ServerContext) -> None:
        self._sessions: dict[str, ServedSession] = {}
        self._lanes: dict[str, set[MemoryIncoming]] = {}
        self.counts: Counter[str] = Counter()

    async def start(self) -> None:
        """See ServerTransport."""
        _servers[id(self)] = self

    async def stop(self, *, grace_s: float) -> None:
        """See ServerTransport."""
        _servers.pop(id(self), None)
        for session_id in list(self._sessions):
            self._end(session_id, ConnectionFailedError("the repository stops"))

    def open_session(self, session: ServedSession) -> Offer:
        """See ServerTransport."""
        self._sessions[session.id] = session
        return Offer(transport="memory", parameters={"server": id(self)})

    def close_session(self, session_id: SessionId, reason: str) -> None:
        """See ServerTransport."""
        self._end(session_id, TransferError(f"the repository closed the session: {reason}"))

    def open_capture(self, grant: CaptureGrant) -> Offer:
        """See ServerTransport."""
        raise UsageError("this transport carries no captures")

    def session_state(self, session_id: SessionId) -> Mapping[str, Any]:
        """See ServerTransport."""
        return {"lanes": len(self._lanes[session_id])} if session_id in self._lanes else {}

    def counters(self) -> Mapping[str, float]:
        """See ServerTransport."""
        return {
            "bytes_sent": self.counts["bytes_sent"],
            "chunks_sent": self.counts["chunks_sent"],
            "clients": sum(map(len, self._lanes.values())),
        }

    def join(self, session_id: str, key: bytes, lane: MemoryIncoming) -> ServedSession:
        """A client half comes in. Raises AuthenticationError."""
        session = self._sessions.get(session_id)
        if session is None or not hmac.compare_digest(session.key, key):
            raise AuthenticationError("the repository refused the session")
        self._lanes.setdefault(session_id, set()).add(lane)
        return session

    def leave(self, session_id: str, lane: MemoryIncoming) -> None:
        """It goes; repeating is harmless."""
        self._lanes.get(session_id, set()).discard(lane)

    def _end(self, session_id: str, error: RemoteError) -> None:
        self._sessions.pop(session_id, None)
        for lane in self._lanes.pop(session_id, set()):
            lane.end(error)


class MemoryClient:
    """A `ClientTransport`."""

    def __init__(self, context: ClientContext) -> None:
        pass

    def fetch(
        self, offer: Offer, *, session_id: SessionId, key: bytes, manifest: Manifest, want: WantMap, arena: Arena
    ) -> AbstractAsyncContextManager[MemoryIncoming]:
        """See ClientTransport."""
        return self._fetch(offer, session_id, key, want, arena)

    @contextlib.asynccontextmanager
    async def _fetch(
        self, offer: Offer, session_id: SessionId, key: bytes, want: WantMap, arena: Arena
    ) -> AsyncIterator[MemoryIncoming]:
        server = _servers.get(offer.parameters["server"])
        if server is None:
            raise ConnectionFailedError("there is no such server in this process")
        lane = MemoryIncoming(server, want, arena)
        lane.session = server.join(session_id, key, lane)
        try:
            yield lane
        finally:
            server.leave(session_id, lane)


class MemoryIncoming:
    """An `Incoming`: copies one chunk at a time, when it is asked for."""

    session: ServedSession

    def __init__(self, server: MemoryServer, want: WantMap, arena: Arena) -> None:
        self._server = server
        self._want = want
        self._arena = arena
        self._ended: asyncio.Future[RemoteError] = asyncio.get_running_loop().create_future()
        self._open: set[int] = set()
        self._done: set[int] = set()
        self._changed = asyncio.Event()
        self._rejections: Counter[int] = Counter()
        self._lost: dict[int, str] = {}

    def end(self, error: RemoteError) -> None:
        """The server gives up this lane."""
        if not self._ended.done():
            self._ended.set_result(error)
        self._changed.set()

    def __aiter__(self) -> MemoryIncoming:
        return self

    async def __anext__(self) -> Delivery:
        while True:
            await asyncio.sleep(0)
            if self._ended.done():
                raise self._ended.result()
            chunk = self._next_chunk()
            if chunk is not None:
                slot = await self._arena.acquire()
                if (delivery := self._deliver(chunk, slot)) is not None:
                    return delivery
            elif self._open:
                self._changed.clear()
                await self._changed.wait()
            elif lost := [chunk for chunk in self._want if chunk in self._lost]:
                raise ChunkError(f"chunk {lost[0]} cannot be had: {self._lost[lost[0]]}")
            else:
                raise StopAsyncIteration

    def accept(self, delivery: Delivery) -> None:
        """See Incoming."""
        self._open.discard(delivery.chunk)
        self._done.add(delivery.chunk)
        self._changed.set()

    def reject(self, delivery: Delivery, reason: str) -> None:
        """See Incoming."""
        self._open.discard(delivery.chunk)
        self._rejections[delivery.chunk] += 1
        if self._rejections[delivery.chunk] >= MAX_REJECTIONS:
            self._lost[delivery.chunk] = reason
        self._changed.set()

    def _next_chunk(self) -> int | None:
        known = self._open | self._done | self._lost.keys()
        return next((chunk for chunk in self._want if chunk not in known), None)

    def _deliver(self, chunk: int, slot: Slot) -> Delivery | None:
        if chunk not in self._want or self._ended.done():
            slot.release()
            return None
        try:
            stored = self.session.chunks.locate(self.session.manifest.digest(chunk))
            frame = slot.view[: stored.length]
            os.preadv(stored.fd, [frame], stored.offset)
        except OgcastError as error:
            slot.release()
            self._lost[chunk] = error.message
            return None
        self._open.add(chunk)
        self._server.counts.update(chunks_sent=1, bytes_sent=stored.length)
        release: Callable[[], None] = slot.release
        return Delivery(
            chunk=ChunkIndex(chunk), encoding=stored.encoding, frame=frame, source="repository", release=release
        )
