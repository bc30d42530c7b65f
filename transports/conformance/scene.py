"""A running server with one image in one session, and the words the checks are written in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.arena import Arena
from core.ids import SessionId
from core.wantmap import WantMap
from images.codec import decode_into, verify
from images.manifest import Manifest
from transports.base import (
    ClientContext,
    ClientTransport,
    Delivery,
    Incoming,
    Offer,
    ServedSession,
    ServerContext,
    ServerTransport,
    Sharing,
)
from transports.conformance.sample import CHUNK_BYTES, SampleStore, sample_image

__all__ = ["KEY", "SESSION", "Check", "Rig", "Scene", "check_good", "require", "serving", "small_arena", "take_all"]

LIMIT_S = 20.0
"""A check that takes longer hangs."""

SLACK_BYTES = 64 * 1024
"""How much longer than a chunk a slot is: room for a frame that does not shrink, and for a last symbol."""

KEY = bytes(range(32))
SESSION = SessionId("conformance-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """The two halves under test."""

    server: Callable[[ServerContext], ServerTransport]
    client: Callable[[ClientContext], ClientTransport]
    settings: Mapping[str, Any] = field(default_factory=dict)
    host: str = "127.0.0.1"


Check = Callable[[Rig], Awaitable[None]]


def require(condition: bool, text: str) -> None:
    if not condition:
        raise AssertionError(text)


@dataclass(slots=True)
class Scene:
    """One running server with one image in one session."""

    rig: Rig
    server: ServerTransport
    client: ClientTransport
    manifest: Manifest
    store: SampleStore
    raws: list[bytes]
    offer: Offer
    events: list[tuple[str, Mapping[str, Any]]]

    def fetch(
        self, want: WantMap, arena: Arena, *, key: bytes = KEY, session_id: SessionId = SESSION
    ) -> contextlib.AbstractAsyncContextManager[Incoming]:
        return self.client.fetch(
            self.offer, session_id=session_id, key=key, manifest=self.manifest, want=want, arena=arena
        )

    def open(self, session_id: SessionId) -> Offer:
        return self.server.open_session(
            ServedSession(id=session_id, key=KEY, manifest=self.manifest, chunks=self.store)
        )


@contextlib.asynccontextmanager
async def serving(rig: Rig, *, chunks: int = 40) -> AsyncIterator[Scene]:
    manifest, store, raws = sample_image(chunks=chunks)
    events: list[tuple[str, Mapping[str, Any]]] = []

    def on_event(name: str, fields: Mapping[str, Any]) -> None:
        events.append((name, fields))

    server = rig.server(
        ServerContext(host=rig.host, advertise=None, interface=None, settings=rig.settings, on_event=on_event)
    )
    client = rig.client(ClientContext(repository_host=rig.host, interface=None, state_dir=None, on_event=on_event))
    await server.start()
    try:
        async with asyncio.timeout(LIMIT_S):
            offer = server.open_session(ServedSession(id=SESSION, key=KEY, manifest=manifest, chunks=store))
            yield Scene(rig, server, client, manifest, store, raws, offer, events)
    finally:
        await server.stop(grace_s=1.0)
        await server.stop(grace_s=1.0)
        store.close()


def small_arena(slots: int = 8) -> Arena:
    return Arena(slot_bytes=CHUNK_BYTES + SLACK_BYTES, slots=slots)


def check_good(scene: Scene, delivery: Delivery) -> None:
    if delivery.prepare is not None:
        delivery.prepare()
    raw = bytearray(scene.manifest.raw_length(delivery.chunk))
    decode_into(delivery.frame, delivery.encoding, memoryview(raw))
    verify(raw, scene.manifest.digest(delivery.chunk))


async def take_all(scene: Scene, incoming: Incoming, want: WantMap) -> list[int]:
    """A client session in three lines: verify, discard, release."""
    taken: list[int] = []
    async for delivery in incoming:
        check_good(scene, delivery)
        want.discard(delivery.chunk)
        if isinstance(scene.client, Sharing):
            scene.client.verified(delivery.chunk, delivery.frame, delivery.encoding)
        incoming.accept(delivery)
        taken.append(delivery.chunk)
        delivery.release()
    return taken
