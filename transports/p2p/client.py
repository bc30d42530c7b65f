"""Client half of p2p: joins a swarm, takes chunks from neighbours and, as repod assigns them, from the origin."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from core.arena import Arena
from core.errors import ConnectionFailedError, UsageError
from core.ids import ChunkIndex, SessionId
from core.wantmap import WantMap
from images.manifest import Manifest
from images.stores import Encoding
from transports.base import ClientContext, Offer
from transports.p2p.incoming import SwarmIncoming
from transports.p2p.membership import Membership
from transports.p2p.neighbourhood import Neighbourhood
from transports.p2p.offer import SwarmOffer
from transports.p2p.peer_server import PeerServer
from transports.p2p.proto.messages import Gone
from transports.p2p.proto.requests import ORIGIN
from transports.p2p.proto.swarm import Swarm
from transports.p2p.shelf import Shelf
from transports.unicast.proto.asking import AskingLane

__all__ = ["SwarmClient"]

STALL_S = 15.0
"""A source that owes an answer and is silent for this long has gone."""
WINDOW_CHUNKS = 256
"""Until repod says otherwise."""


class SwarmClient:
    """A `ClientTransport` that shares: what is verified during a session can be asked for by peers until it ends."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context
        self._incoming: SwarmIncoming | None = None
        self._shelf: Shelf | None = None

    def state(self) -> Mapping[str, Any]:
        """How the swarm goes, for events and reports; empty without one."""
        return {} if self._incoming is None else self._incoming.state()

    def verified(self, chunk: ChunkIndex, frame: memoryview, encoding: Encoding) -> None:
        """See Sharing."""
        if self._shelf is not None:
            self._shelf.add(chunk, frame, encoding)

    def fetch(
        self, offer: Offer, *, session_id: SessionId, key: bytes, manifest: Manifest, want: WantMap, arena: Arena
    ) -> AbstractAsyncContextManager[SwarmIncoming]:
        """See ClientTransport."""
        return self._fetch(SwarmOffer.read(offer), session_id, key, manifest, want, arena)

    @contextlib.asynccontextmanager
    async def _fetch(
        self, offer: SwarmOffer, session_id: SessionId, key: bytes, manifest: Manifest, want: WantMap, arena: Arena
    ) -> AsyncIterator[SwarmIncoming]:
        if arena.slot_bytes < min(manifest.chunk_size, manifest.size):
            raise UsageError(f"slots of {arena.slot_bytes} bytes for chunks of {manifest.chunk_size}")
        shelf = await self._open_shelf(manifest)
        serves = offer.mode != "leecher"
        server = PeerServer(shelf, upload_bytes_per_s=offer.upload_bytes_per_s, dscp=offer.dscp) if serves else None
        loop = asyncio.get_running_loop()
        swarm = Swarm(
            want,
            seed=int.from_bytes(os.urandom(4), "little"),
            window=WINDOW_CHUNKS,
            slots=arena.slots,
            rng=random.Random(),
            now=loop.time(),
        )
        incoming = SwarmIncoming(
            swarm=swarm, shelf=shelf, want=want, arena=arena, server=server, on_event=self._context.on_event
        )

        def make(source: int, name: str, lane_key: bytes) -> AskingLane:
            return AskingLane(
                session_id=name,
                key=lane_key,
                nonce=os.urandom(32),
                root=manifest.root,
                chunks=manifest.chunk_count,
                raw_length=manifest.raw_length,
                wanted=want.__contains__,
                slot_bytes=arena.slot_bytes,
                stall_s=STALL_S,
                now=loop.time(),
                other="the repository" if source == ORIGIN else f"peer {source}",
            )

        def listen(host: str) -> int:
            if server is None:
                return 0
            try:
                server.start(host)
            except OSError as error:
                raise ConnectionFailedError(f"cannot listen for peers on {host}: {error.strerror or error}") from error
            return server.port

        host = offer.host or self._context.repository_host
        neighbours = Neighbourhood(
            make=make, on_step=incoming.handle_step, on_lost=incoming.handle_lost, interface=self._context.interface
        )
        membership = Membership(
            host=host,
            port=offer.port,
            session_id=session_id,
            key=key,
            mode=offer.mode,
            held=shelf.packed,
            listen=listen,
            owner=incoming,
        )
        self._incoming = incoming
        try:
            await membership.connect()
            if server is not None:
                server.on_gone = lambda chunks: membership.send(Gone(chunks=tuple(chunks)))
            incoming.begin(membership, neighbours)
            neighbours.dial_origin(host, offer.origin_port, session_id, key)
            yield incoming
        finally:
            if self._incoming is incoming:
                self._incoming = None
            await incoming.close()
            await membership.close()
            if server is not None:
                await server.close()

    async def _open_shelf(self, manifest: Manifest) -> Shelf:
        if self._shelf is None or self._shelf.manifest.root != manifest.root:
            if self._shelf is not None:
                self._shelf.close()
            self._shelf = Shelf(manifest)
            await asyncio.to_thread(self._shelf.look_up)
        return self._shelf
