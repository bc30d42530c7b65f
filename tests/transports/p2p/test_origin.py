"""Where the origin listens; test_server.py takes chunks from it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

import pytest

from core.arena import Arena
from core.errors import ChunkError, LocalError, LockedError
from core.ids import ChunkIndex, SessionId
from core.wantmap import WantMap
from tests.support.swarms import KEY, Guest, Room, announce, running
from transports.base import ClientContext, Offer, ServedSession, ServerContext
from transports.conformance.sample import CHUNK_BYTES, sample_image
from transports.p2p.origin import OFFSET, Origin
from transports.p2p.proto.messages import Assign, Have, Welcome
from transports.p2p.server import SwarmServer
from transports.p2p.settings import SwarmSettings
from transports.unicast.client import UnicastClient

pytestmark = pytest.mark.asyncio


def _context(**settings: int) -> ServerContext:
    return ServerContext(
        host="127.0.0.1", advertise=None, interface=None, settings=settings, on_event=lambda name, fields: None
    )


def _origin(**settings: int) -> Origin:
    return Origin(_context(**settings), SwarmSettings.load(settings))


def _taken() -> socket.socket:
    taken = socket.create_server(("127.0.0.1", 0))
    return taken


async def test_it_is_beside_the_member_lanes_where_that_is_free() -> None:
    with _taken() as probe:
        member_port = probe.getsockname()[1] - OFFSET
    origin = _origin(port=member_port)
    origin.start(member_port=member_port)
    try:
        assert origin.port == member_port + OFFSET
        second = _origin(port=member_port)
        second.start(member_port=member_port)
        assert second.port not in (0, member_port + OFFSET)
        await second.stop(grace_s=0)
    finally:
        await origin.stop(grace_s=0)


async def test_a_port_that_was_asked_for_is_taken_or_refused_by_name() -> None:
    with _taken() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LockedError) as caught:
            _origin(origin_port=port).start(member_port=1)
        assert "origin_port" in (caught.value.hint or "")
        server = SwarmServer(_context(port=0, origin_port=port))
        with pytest.raises(LocalError):
            await server.start()
        await server.stop(grace_s=0)
        await server.stop(grace_s=0)


async def test_it_knows_open_sessions_only() -> None:
    manifest, store, _ = sample_image(chunks=2)
    origin = _origin()
    session = ServedSession(id=SessionId("s"), key=bytes(32), manifest=manifest, chunks=store)
    assert origin.counters() == {}
    origin.open(session)
    grant = origin.find("s")
    assert grant is not None
    assert (grant.key, grant.image, grant.capture_bytes) == (session.key, manifest, 0)
    assert grant.holdings is not None
    assert not grant.holdings.holds(1)
    origin.allow("s", [1])
    assert [grant.holdings.holds(chunk) for chunk in (0, 1)] == [False, True]
    origin.deny("s", [1])
    assert not grant.holdings.holds(1)
    assert origin.chunks_of("s") is store
    origin.close("s", "over")
    assert origin.find("s") is origin.chunks_of("s") is None
    origin.allow("s", [1])
    assert origin.find("s") is None
    store.close()


async def _take(room: Room, session: SessionId, offer: Offer, chunks: Iterable[int]) -> None:
    """These from the origin, whatever was assigned."""
    client = UnicastClient(
        ClientContext(repository_host="127.0.0.1", interface=None, state_dir=None, on_event=lambda name, fields: None)
    )
    want = WantMap(room.manifest.chunk_count, full=False)
    for chunk in chunks:
        want.add(ChunkIndex(chunk))
    origin = Offer(transport="unicast", parameters={"port": offer.parameters["origin_port"]})
    arena = Arena(slot_bytes=CHUNK_BYTES + 65536, slots=4)
    async with client.fetch(
        origin, session_id=session, key=KEY, manifest=room.manifest, want=want, arena=arena
    ) as incoming:
        async for delivery in incoming:
            want.discard(delivery.chunk)
            incoming.accept(delivery)
            delivery.release()
    assert not len(want)


async def _take_assigned(room: Room, guest: Guest, offer: Offer, chunks: int) -> None:
    """So many, as they are assigned."""
    while chunks > 0:
        assigned = (await guest.hear(Assign)).chunks
        await _take(room, guest.session, offer, assigned)
        chunks -= len(assigned)
        guest.say(Have(chunks=assigned))


async def test_a_session_gets_what_it_was_assigned_and_nothing_else() -> None:
    async with running() as room:
        session, offer = room.open()
        with pytest.raises(ChunkError, match="not held"):
            await _take(room, session, offer, [0])
        guest = await room.enter(session)
        guest.say(announce(room.manifest.chunk_count))
        assigned = set((await guest.hear(Assign)).chunks)
        await _take(room, session, offer, assigned)
        other = next(chunk for chunk in range(room.manifest.chunk_count) if chunk not in assigned)
        with pytest.raises(ChunkError, match="not held"):
            await _take(room, session, offer, [other])
        # What nobody took is assigned to it as soon as it has the first.
        guest.say(Have(chunks=tuple(assigned)))
        await guest.hear(Assign)
        with pytest.raises(ChunkError, match="not held"):
            await _take(room, session, offer, list(assigned)[:1])
        assert room.server.counters()["chunks_sent"] == len(assigned)


async def test_a_subnet_with_a_budget_is_held_back_and_another_is_not() -> None:
    async with running(subnet_mbit_per_s=4, subnets={"fast": 0}) as room:
        chunks = room.manifest.chunk_count
        first, offer = room.open()
        guest = await room.enter(first)
        guest.say(announce(chunks, subnet="fast"))
        await guest.hear(Welcome)
        await _take_assigned(room, guest, offer, chunks)
        assert room.server.counters()["limit_subnet_budget"] == 0
        assert room.server.counters()["chunks_sent"] == 40
        guests = []
        for _ in range(2):
            session, offer = room.open()
            guests.append(await room.enter(session))
            guests[-1].say(announce(chunks))
        await asyncio.gather(*(_take_assigned(room, guest, offer, 10) for guest in guests))
        assert room.server.counters()["chunks_sent"] >= 60
        assert room.server.counters()["limit_subnet_budget"] >= 5
