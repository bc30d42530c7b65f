"""Client half of p2p: joins a swarm, takes chunks from neighbours and, as repod assigns them, from the origin."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from core.arena import Arena
from core.errors import ConnectionFailedError, UsageError
from core.ids import ChunkIndex, SessionId
from core.wantmap import WantMap
from images.manifest import Manifest
from images.stores import ChunkReader, Encoding
from transports.base import ClientContext, Offer
from transports.p2p.early import EarlyMember
from transports.p2p.giving import SwarmGiving
from transports.p2p.incoming import SwarmIncoming
from transports.p2p.membership import MemberHost, Membership
from transports.p2p.neighbourhood import Neighbourhood
from transports.p2p.offer import SwarmOffer
from transports.p2p.peer_server import PeerServer
from transports.p2p.proto.limits import MAX_LIST_CHUNKS
from transports.p2p.proto.messages import Gone
from transports.p2p.proto.requests import ORIGIN
from transports.p2p.proto.swarm import Swarm
from transports.p2p.shelf import Shelf
from transports.unicast.proto.asking import AskingLane
from transports.unicast.proto.handshake import REPOSITORY

__all__ = ["SwarmClient"]

STALL_S = 15.0
"""A source that owes an answer and is silent for this long has gone."""
LEAVE_WITHIN_S = 3.0
"""Who is complete leaves after so long at most, however much others still ask for. The last of a room is to
take what it lacks from all of them, not from the repository alone …"""
LEAVE_PACES = 1.5
"""… or after so many times what a chunk took, if that is longer: one that is cut off has to come again from its
beginning …"""
LEAVE_LONGEST_S = 30.0
"""… but no later than this: the command is over then, and somebody waits for it."""
WINDOW_CHUNKS = 256
"""Until repod says otherwise."""


class SwarmClient:
    """A `ClientTransport` that shares: what is verified during a session can be asked for by peers until it ends.

    It is a `Seeding` as well: what it holds then can be given on by itself.

    A fetch that begins with an empty want-map stands by: it gives to peers, and takes from them what the map has later,
    but nothing from the repository. Its iterator may be asked again after it has ended.
    """

    def __init__(self, context: ClientContext) -> None:
        self._context = context
        self._incoming: SwarmIncoming | None = None
        self._shelf: Shelf | None = None
        self._offer: SwarmOffer | None = None
        self._banned = False
        self._lingering: tuple[Membership, PeerServer, float] | None = None
        """Whose they are no more, and how long they stay at most."""
        self._handed_over = False

    def state(self) -> Mapping[str, Any]:
        """How the swarm goes, for events and reports; empty without one."""
        return {} if self._incoming is None else self._incoming.state()

    def verified(self, chunk: ChunkIndex, frame: memoryview, encoding: Encoding) -> None:
        """See Sharing."""
        if self._shelf is not None:
            self._shelf.add(chunk, frame, encoding)
        if self._incoming is not None:
            self._incoming.handle_verified(chunk)

    async def leave(self) -> None:
        """See Sharing. What others lack may be with nobody else: it is given for a moment while they are connected.
        Not where another process gives on what this one has."""
        lingering, self._lingering = self._lingering, None
        if lingering is not None:
            membership, server, within_s = lingering
            if not self._handed_over:
                await server.settle(within_s=within_s)
            await membership.close()
            await server.close()

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
        await self.leave()
        shelf = await self._open_shelf(manifest, self._context.cache)
        self._offer = offer
        if self._context.written is not None:
            shelf.use(self._context.written)
        server = None if offer.mode == "leecher" else _server(shelf, offer)
        swarm = Swarm(
            want,
            seed=int.from_bytes(os.urandom(4), "little"),
            window=WINDOW_CHUNKS,
            slots=arena.slots,
            rng=random.Random(),
            now=asyncio.get_running_loop().time(),
        )
        if server is not None:
            server.held_by = swarm.holders.count
            server.is_held_by = swarm.holders.holds
        if self._context.cache is None:
            shelf.ring.is_spare = swarm.holders.can_spare
        incoming = SwarmIncoming(
            swarm=swarm, shelf=shelf, want=want, arena=arena, server=server, on_event=self._context.on_event
        )
        neighbours = Neighbourhood(
            make=functools.partial(_asking, manifest, want, arena),
            on_step=incoming.handle_step,
            on_lost=incoming.handle_lost,
            on_fault=incoming.handle_fault,
            interface=self._context.interface,
            asleep=incoming.stands_by,
        )
        membership = self._membership(offer, session_id, key, shelf, server, owner=incoming)
        self._incoming = incoming
        incoming.origin_port = offer.origin_port
        early = self._early(session_id, manifest, want, shelf, arena)
        try:
            await _enter(membership, server, early)
            incoming.begin(membership, neighbours)
            if not incoming.stands_by:
                opened = _origin_lane(early, manifest, want, arena)
                neighbours.dial_origin(self._host(offer), offer.origin_port, session_id, key, opened=opened)
            yield incoming
        finally:
            if self._incoming is incoming:
                self._incoming = None
            self._banned = self._banned or incoming.banned
            if server is not None and not want and self._context.lingers:
                # What this client took last is with nobody else yet.
                await incoming.retire()
                giving = SwarmGiving(offer, shelf, server, on_event=self._context.on_event, traffic=incoming.traffic)
                giving.take_over(membership)
                self._lingering = (membership, server, _leave_within_s(swarm.requests.pace.chunk_s))
            else:
                await incoming.close()
                await membership.close()
                if server is not None:
                    await server.close()

    def _early(
        self, session_id: SessionId, manifest: Manifest, want: WantMap, shelf: Shelf, arena: Arena
    ) -> EarlyMember | None:
        """What has been a member of this session already; closed if what it announced is not so, or nothing is to be
        taken: its origin's lane would be nobody's."""
        early = self._context.take_early("p2p")
        if not isinstance(early, EarlyMember):
            return None
        same = (early.session_id, early.root, early.chunks) == (session_id, manifest.root, manifest.chunk_count)
        fits = early.frame_bytes <= arena.slot_bytes and early.machine.under_way <= arena.free
        if same and fits and 0 < len(want) == want.count and not shelf.count:
            return early
        early.close()
        return None

    # ------------------------------------------------------------------ Seeding

    def afterwards(self) -> str | None:
        """See Seeding."""
        offer = self._offer
        if offer is None or self._banned or offer.mode == "leecher" or (offer.mode == "peer" and not offer.seconds):
            return None
        return f"{offer.mode}:{offer.seconds}"

    def hand_over(self) -> tuple[bytes, Sequence[int]]:
        """See Seeding."""
        self._handed_over = True
        return (b"", []) if self._shelf is None else self._shelf.ring.hand_over()

    def give(
        self,
        offer: Offer,
        *,
        session_id: SessionId,
        key: bytes,
        manifest: Manifest,
        chunks: ChunkReader | None,
        inherited: bytes = b"",
    ) -> AbstractAsyncContextManager[SwarmGiving]:
        """See Seeding. Called again, it takes nothing over a second time."""
        return self._give(SwarmOffer.read(offer), session_id, key, manifest, chunks, inherited)

    @contextlib.asynccontextmanager
    async def _give(
        self,
        offer: SwarmOffer,
        session_id: SessionId,
        key: bytes,
        manifest: Manifest,
        chunks: ChunkReader | None,
        inherited: bytes,
    ) -> AsyncIterator[SwarmGiving]:
        shelf = await self._open_shelf(manifest, chunks, inherited)
        server = _server(shelf, offer)
        giving = SwarmGiving(offer, shelf, server, on_event=self._context.on_event)
        membership = self._membership(offer, session_id, key, shelf, server, owner=giving)
        try:
            await membership.connect()
            giving.begin(membership)
            yield giving
        finally:
            await membership.close()
            await server.close()

    def _host(self, offer: SwarmOffer) -> str:
        return offer.host or self._context.repository_host

    def _membership(
        self,
        offer: SwarmOffer,
        session_id: SessionId,
        key: bytes,
        shelf: Shelf,
        server: PeerServer | None,
        *,
        owner: MemberHost,
    ) -> Membership:
        """One that is not entered yet, and is told what can be had of `server`, and what no more."""
        membership = Membership(
            host=self._host(offer),
            port=offer.port,
            session_id=session_id,
            key=key,
            mode=offer.mode,
            held=shelf.packed,
            listen=functools.partial(_listen, server),
            owner=owner,
        )
        if server is not None:
            server.on_gone = functools.partial(_tell_gone, membership)
            server.on_news = functools.partial(_tell_have, membership)
        return membership

    async def _open_shelf(self, manifest: Manifest, chunks: ChunkReader | None, inherited: bytes = b"") -> Shelf:
        if self._shelf is None or self._shelf.manifest.root != manifest.root:
            if self._shelf is not None:
                self._shelf.close()
            self._shelf = Shelf(manifest, cache=chunks)
            if inherited:
                self._shelf.ring.take_over(inherited)
            await asyncio.to_thread(self._shelf.look_up)
        return self._shelf


def _asking(manifest: Manifest, want: WantMap, arena: Arena, source: int, session_id: str, key: bytes) -> AskingLane:
    """The machine of one connection to `source`, ORIGIN or a peer."""
    return AskingLane(
        session_id=session_id,
        key=key,
        nonce=os.urandom(32),
        root=manifest.root,
        chunks=manifest.chunk_count,
        raw_length=manifest.raw_length,
        wanted=want.__contains__,
        slot_bytes=arena.slot_bytes,
        stall_s=STALL_S,
        now=asyncio.get_running_loop().time(),
        other=REPOSITORY if source == ORIGIN else f"peer {source}",
    )


def _leave_within_s(chunk_s: float) -> float:
    """`chunk_s`: what a chunk took here."""
    return max(LEAVE_WITHIN_S, min(LEAVE_LONGEST_S, LEAVE_PACES * chunk_s))


async def _enter(membership: Membership, server: PeerServer | None, early: EarlyMember | None) -> None:
    """By the lane that is open already, if there is one: peers know its listener's port."""
    if early is None:
        await membership.connect()
        return
    if server is not None and early.listener is not None:
        server.start("", listener=early.listener)
    try:
        await membership.go_on(early.member, early.heard)
    except BaseException:
        early.close()
        raise


def _origin_lane(
    early: EarlyMember | None, manifest: Manifest, want: WantMap, arena: Arena
) -> tuple[socket.socket, AskingLane] | None:
    """The origin's lane that is open already, with a slot for each chunk it asked for."""
    if early is None:
        return None
    early.machine.hand_to(raw_length=manifest.raw_length, wanted=want.__contains__)
    for _ in range(early.machine.under_way):
        slot = arena.try_acquire()
        assert slot is not None
        early.machine.handle_slot(slot)
    return early.origin, early.machine


def _server(shelf: Shelf, offer: SwarmOffer) -> PeerServer:
    return PeerServer(
        shelf,
        upload_bytes_per_s=offer.upload_bytes_per_s,
        upload_far_bytes_per_s=offer.upload_far_bytes_per_s,
        dscp=offer.dscp,
    )


def _listen(server: PeerServer | None, host: str) -> int:
    if server is None:
        return 0
    try:
        server.start(host)
    except OSError as error:
        raise ConnectionFailedError(f"cannot listen for peers on {host}: {error.strerror or error}") from error
    return server.port


def _tell_gone(membership: Membership, chunks: list[int]) -> None:
    for start in range(0, len(chunks), MAX_LIST_CHUNKS):
        membership.send(Gone(chunks=tuple(chunks[start : start + MAX_LIST_CHUNKS])))


def _tell_have(membership: Membership, chunks: list[int]) -> None:
    for chunk in chunks:
        membership.note_have(chunk)
