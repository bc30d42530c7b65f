"""Giving without fetching, against the real server half and a real fetching client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from core.arena import Arena
from core.errors import ConnectionFailedError
from core.ids import ChunkIndex, SessionId
from core.wantmap import WantMap
from images.stores import ChunkReader
from tests.support.swarms import KEY, Room, running
from transports.base import ClientContext, Offer
from transports.conformance.sample import CHUNK_BYTES
from transports.p2p.client import SwarmClient
from transports.p2p.giving import SwarmGiving
from transports.p2p.proto.messages import BadChunk, Meet, Welcome

pytestmark = pytest.mark.asyncio

WAIT_S = 20.0


def _client(*, cache: ChunkReader | None = None, lingers: bool = False) -> SwarmClient:
    return SwarmClient(
        ClientContext(
            repository_host="127.0.0.1",
            interface=None,
            state_dir=None,
            on_event=lambda name, fields: None,
            cache=cache,
            lingers=lingers,
        )
    )


@contextlib.asynccontextmanager
async def _giving(
    room: Room, client: SwarmClient, *, options: str, chunks: ChunkReader | None, inherited: bytes = b""
) -> AsyncIterator[tuple[SwarmGiving, str]]:
    session, offer = room.open(options=options)
    async with client.give(
        offer, session_id=session, key=KEY, manifest=room.manifest, chunks=chunks, inherited=inherited
    ) as giving:
        yield giving, session


async def _fetch(room: Room, client: SwarmClient, *, options: str = "") -> dict[str, int]:
    """Chunks by source, in a session of its own."""
    session, offer = room.open(options=options)
    sources = await _take(room, client, session, offer)
    room.server.close_session(session, "done")
    return sources


async def _take(room: Room, client: SwarmClient, session: SessionId, offer: Offer) -> dict[str, int]:
    want = WantMap(room.manifest.chunk_count)
    sources: dict[str, int] = {}
    arena = Arena(slot_bytes=CHUNK_BYTES + 65536, slots=4)
    async with (
        asyncio.timeout(WAIT_S),
        client.fetch(offer, session_id=session, key=KEY, manifest=room.manifest, want=want, arena=arena) as incoming,
    ):
        async for delivery in incoming:
            want.discard(delivery.chunk)
            sources[delivery.source] = sources.get(delivery.source, 0) + 1
            client.verified(delivery.chunk, delivery.frame, delivery.encoding)
            incoming.accept(delivery)
            delivery.release()
    return sources


async def test_a_seeder_that_is_banned_opens_no_other_session() -> None:
    async with running() as room, _giving(room, _client(), options="seeder", chunks=room.store) as (giving, _):
        one, two = await room.join(), await room.join()
        guests = {(await guest.hear(Welcome)).member for guest in (one, two)}
        digest = room.manifest.digest(ChunkIndex(3))
        for guest in (one, two):
            met: set[int] = set()
            while not met - guests:
                met |= {peer.id for peer in (await guest.hear(Meet)).peers}
            [seeder] = met - guests
            guest.say(BadChunk(peer=seeder, chunk=3, expected=digest, got=bytes(32)))
        async with asyncio.timeout(WAIT_S):
            assert "banned" in await giving.wait()


async def test_a_session_that_ends_while_its_seeder_enters_gives_nothing() -> None:
    async with running() as room, _giving(room, _client(), options="seeder", chunks=room.store) as (giving, session):
        room.server.close_session(SessionId(session), "the repository is stopping")
        with pytest.raises(ConnectionFailedError, match=r"has ended|is stopping"):
            async with asyncio.timeout(WAIT_S):
                await giving.wait()


async def test_everything_comes_from_who_only_gives_and_nothing_from_the_origin() -> None:
    async with running() as room, _giving(room, _client(), options="seeder", chunks=room.store) as (giving, session):
        assert giving.seconds is None
        sources = await _fetch(room, _client())
        assert [name.split()[0] for name in sources] == ["peer"]
        assert sum(sources.values()) == room.manifest.chunk_count
        assert room.server.counters()["chunks_sent"] == 0
        assert giving.state()["chunks_given"] == room.manifest.chunk_count
        assert room.server.session_state(session)["state"] == "done"


async def test_a_peer_ends_when_the_last_one_has_everything_and_a_seeder_does_not() -> None:
    async with (
        running() as room,
        _giving(room, _client(), options="peer:77", chunks=room.store) as (peer, _),
        _giving(room, _client(), options="seeder", chunks=room.store) as (seeder, session),
    ):
        assert peer.seconds == 77
        waiting = asyncio.create_task(seeder.wait())
        await _fetch(room, _client())
        async with asyncio.timeout(WAIT_S):
            assert "nobody lacks anything" in await peer.wait()
        assert not waiting.done()
        room.server.close_session(session, "the repository is stopping")
        with pytest.raises(ConnectionFailedError, match="the repository is stopping"):  # another session may be had
            async with asyncio.timeout(WAIT_S):
                await waiting


async def test_what_one_process_has_in_memory_is_given_on_by_another() -> None:
    """Here both are one process: the descriptors are the same."""
    async with running(chunks=12) as room:
        first = _client()
        assert (await _fetch(room, first))["repository"] == 12
        assert first.afterwards() == "peer:60"
        inherited, descriptors = first.hand_over()
        assert descriptors
        second = _client()
        async with _giving(room, second, options="peer:60", chunks=None, inherited=inherited) as (giving, _):
            assert giving.state()["held_chunks"] == 12
            sources = await _fetch(room, _client())
            assert [name.split()[0] for name in sources] == ["peer"]


@pytest.mark.parametrize(("options", "after"), [("leecher", None), ("peer:0", None), ("seeder", "seeder:0")])
async def test_the_option_string_says_what_comes_after_a_session(options: str, after: str | None) -> None:
    async with running(chunks=2) as room:
        client = _client()
        assert client.afterwards() is None
        await _fetch(room, client, options=options)
        assert client.afterwards() == after


async def test_what_a_session_finds_in_the_cache_is_asked_for_at_once() -> None:
    """A client that lacks one chunk gives all the others from the CACHE while it waits."""
    async with running(chunks=6) as room:
        manifest = room.manifest
        half = _client(cache=room.store)
        session, offer = room.open()
        want = WantMap(manifest.chunk_count, full=False)
        want.add(ChunkIndex(5))
        arena = Arena(slot_bytes=CHUNK_BYTES + 65536, slots=1)
        held = arena.try_acquire()  # it takes nothing meanwhile
        assert held is not None
        async with half.fetch(
            offer, session_id=session, key=KEY, manifest=manifest, want=want, arena=arena
        ) as incoming:
            sources = await _fetch(room, _client())
            assert sum(count for name, count in sources.items() if name.startswith("peer ")) >= 5
            assert half.state()["bytes_up"] > 0
            held.release()
            assert incoming


async def test_who_has_everything_gives_on_until_the_session_is_over() -> None:
    """What a client took last from the origin is with nobody else yet: it stays, where its owner lets it."""
    async with running(chunks=12) as room:
        stays = _client(lingers=True)
        session, offer = room.open()
        await _take(room, stays, session, offer)
        sources = await _fetch(room, _client())
        assert [name.split()[0] for name in sources] == ["peer"]
        await stays.leave()
        await stays.leave()
        assert (await _fetch(room, _client())).keys() == {"repository"}


async def test_who_is_given_on_by_another_process_waits_for_nobody_it_sends_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.p2p.client.LEAVE_WITHIN_S", 1000.0)
    async with running(chunks=12, upload_mbit_per_s=0.001) as room:
        stays = _client(lingers=True)
        session, offer = room.open()
        await _take(room, stays, session, offer)
        asking = asyncio.create_task(_fetch(room, _client()))
        assert stays._lingering is not None
        async with asyncio.timeout(WAIT_S):
            while not stays._lingering[1]._slots.waiting:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
            stays.hand_over()
            await stays.leave()
        asking.cancel()
        await asyncio.wait([asking])


async def test_who_lingers_can_fetch_again() -> None:
    async with running(chunks=6) as room:
        client = _client(lingers=True)
        for _ in range(2):
            session, offer = room.open()
            assert sum((await _take(room, client, session, offer)).values()) == 6
        await client.leave()
        assert room.server.counters()["clients"] == 0
