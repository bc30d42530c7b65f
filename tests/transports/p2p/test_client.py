"""The client half of p2p as a session uses it; tests/contract/test_p2p.py holds it to the contract."""

from __future__ import annotations

import asyncio
import socket

import pytest

from core.arena import Arena
from core.errors import PathError, ProtocolError, UsageError
from core.ids import ChunkIndex
from tests.support.swarms import KEY, Guest, running
from tests.support.takers import Taker
from transports.base import Offer
from transports.p2p import client, incoming
from transports.p2p.proto.messages import BadChunk, Meet, PeerAddress

pytestmark = pytest.mark.asyncio


async def test_slots_that_are_too_small_and_offers_that_make_no_sense_are_refused() -> None:
    async with running() as room:
        taker = Taker(room)
        for arena, parameters, error in (
            (Arena(slot_bytes=4096, slots=4), taker.offer.parameters, UsageError),
            (taker.arena, {**taker.offer.parameters, "port": 0}, ProtocolError),
        ):
            with pytest.raises(error):
                async with taker.client.fetch(
                    Offer(transport="p2p", parameters=parameters),
                    session_id=taker.session,
                    key=KEY,
                    manifest=room.manifest,
                    want=taker.want,
                    arena=arena,
                ):
                    raise AssertionError("it was let in")


@pytest.mark.parametrize(("chunk_s", "within_s"), [(0.0, 3.0), (0.3, 3.0), (16.0, 24.0), (100.0, 30.0)])
async def test_who_is_complete_stays_for_a_chunk_that_takes_long_but_not_for_ever(
    chunk_s: float, within_s: float
) -> None:
    assert client._leave_within_s(chunk_s) == within_s


async def test_a_leecher_takes_and_does_not_listen() -> None:
    async with running() as room:
        taker = Taker(room, options="leecher")
        taker.gate.clear()
        taker.start()
        await taker.offered.wait()
        state = taker.client.state()
        assert state["reachable"]
        assert (state["receivers"], state["bytes_up"]) == (0, 0)
        member = next(iter(room.server._seats[taker.session].swarm.directory))
        assert (member.port, member.mode) == (0, "leecher")
        taker.gate.set()
        await taker.done()
        assert taker.client.state() == {}


async def test_a_leecher_gives_nothing_to_a_peer_that_gives_to_it() -> None:
    async with running(chunks=60) as room:
        leecher, peer = Taker(room, options="leecher"), Taker(room)
        leecher.start()
        peer.start()
        await asyncio.gather(leecher.done(seconds=60), peer.done(seconds=60))
        assert peer.sources == {"repository": 60}


async def _first_of(taker: Taker, offer: Offer) -> None:
    fetch = taker.client.fetch(
        offer,
        session_id=taker.session,
        key=KEY,
        manifest=taker.room.manifest,
        want=taker.want,
        arena=taker.arena,
    )
    async with fetch as deliveries, asyncio.timeout(20):
        await deliveries.__anext__()


async def test_where_the_origin_cannot_be_reached_and_peers_have_nothing_another_path_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transports.p2p.proto.hope.ORIGIN_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    async with running() as room:
        taker = Taker(room)
        offer = Offer(transport="p2p", parameters={**taker.offer.parameters, "origin_port": closed})
        with pytest.raises(PathError, match=f"port {closed} does not answer") as caught:
            await _first_of(taker, offer)
        assert caught.value.again_after_s


async def test_who_is_banned_takes_another_path_and_gives_nothing_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "EXCLUDED_WAIT_S", 0.2)
    async with running() as room:
        bad = Taker(room, options="peer:30")
        bad.gate.clear()
        one, two = await room.join(), await room.join()
        bad.start()
        for guest in (one, two):
            member = next(each.id for each in (await _met(guest, 2)) if each.port != 40_000)
        for guest in (one, two):
            digest = room.manifest.digest(ChunkIndex(3))
            guest.say(BadChunk(peer=member, chunk=3, expected=digest, got=bytes(32)))
        await bad.hears("peers-banned")
        bad.gate.set()
        assert bad.task is not None
        async with asyncio.timeout(20):
            await bad.task
        assert isinstance(bad.error, PathError)
        assert "excluded" in str(bad.error)
        assert bad.error.again_after_s is None
        assert bad.client.afterwards() is None


async def _met(guest: Guest, count: int) -> list[PeerAddress]:
    peers: list[PeerAddress] = []
    while len(peers) < count:
        peers += (await guest.hear(Meet)).peers
    return peers
