"""Clients of a swarm for tests in one process: the real client half over loopback, each with its own want-map."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from core.arena import Arena
from core.errors import ChunkError, OgcastError
from core.ids import SessionId
from core.wantmap import WantMap
from images import codec
from tests.support.swarms import KEY, Room
from transports.base import ClientContext, Delivery, Incoming, Offer
from transports.conformance.sample import CHUNK_BYTES
from transports.p2p.client import SwarmClient

__all__ = ["SLOTS", "Taker"]

SLOTS = 12
WAIT_S = 20.0


class Taker:
    """Takes what it wants, as the client session does: decoded and compared, then kept and passed on, or refused."""

    def __init__(self, room: Room, *, options: str = "", slots: int = SLOTS) -> None:
        self.room = room
        self.session, self.offer = room.open(options=options)
        self.want = WantMap(room.manifest.chunk_count)
        self.arena = Arena(slot_bytes=CHUNK_BYTES + 4096, slots=slots)
        self.sources: Counter[str] = Counter()
        """Chunks, by where they came from."""
        self.bad: Counter[str] = Counter()
        """Chunks that were wrong, by where they came from."""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.got: dict[int, bytes] = {}
        self.error: OgcastError | None = None
        """Why it ended, if it did not end well."""
        self.client = SwarmClient(
            ClientContext(repository_host="127.0.0.1", interface=None, state_dir=None, on_event=self._note)
        )
        self.gate = asyncio.Event()
        """Deliveries are looked at only while it is set."""
        self.gate.set()
        self.offered = asyncio.Event()
        """Set when the first delivery came."""
        self.task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def start(self) -> Taker:
        """Begin."""
        self.task = asyncio.create_task(self._run())
        return self

    def again(self) -> Taker:
        """Begin again in another session, with the want-map as it is."""
        self.session, self.offer = self.room.open()
        self.error = None
        return self.start()

    async def done(self, *, seconds: float = WAIT_S) -> Taker:
        """It has everything."""
        assert self.task is not None
        async with asyncio.timeout(seconds):
            await self.task
        assert self.error is None, self.error
        assert not len(self.want)
        return self

    async def until(self, chunks: int) -> None:
        """It has so many chunks at least."""
        async with asyncio.timeout(WAIT_S):
            while len(self.got) < chunks:
                self._news.clear()
                await self._news.wait()

    async def hears(self, name: str) -> dict[str, Any]:
        """Fields of the first event of this name, when it has come."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for each, fields in self.events:
                    if each == name:
                        return fields
                self._news.clear()
                await self._news.wait()

    async def kill(self) -> None:
        """It is gone in the middle of whatever it does."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @property
    def from_peers(self) -> int:
        """Chunks other members gave."""
        return sum(count for source, count in self.sources.items() if source.startswith("peer "))

    async def _run(self) -> None:
        fetching = self.client.fetch(
            Offer(transport="p2p", parameters=self.offer.parameters),
            session_id=SessionId(self.session),
            key=KEY,
            manifest=self.room.manifest,
            want=self.want,
            arena=self.arena,
        )
        try:
            async with fetching as incoming:
                async for delivery in incoming:
                    self.offered.set()
                    await self.gate.wait()
                    self._take(delivery, incoming)
                    await asyncio.sleep(0)  # others have their turn between two chunks
        except OgcastError as error:
            self.error = error
        self._news.set()

    def _take(self, delivery: Delivery, incoming: Incoming) -> None:
        manifest = self.room.manifest
        raw = bytearray(manifest.raw_length(delivery.chunk))
        try:
            codec.decode_into(delivery.frame, delivery.encoding, memoryview(raw))
            codec.verify(memoryview(raw), manifest.digest(delivery.chunk))
        except ChunkError as error:
            self.bad[delivery.source] += 1
            incoming.reject(delivery, str(error))
        else:
            self.got[delivery.chunk] = bytes(raw)
            self.sources[delivery.source] += 1
            self.want.discard(delivery.chunk)
            self.client.verified(delivery.chunk, delivery.frame, delivery.encoding)
            incoming.accept(delivery)
        delivery.release()
        self._news.set()

    def _note(self, name: str, fields: Mapping[str, Any]) -> None:
        self.events.append((name, dict(fields)))
        self._news.set()
