"""Chunks of a cast that change hands while it runs, over real sockets."""

from __future__ import annotations

import asyncio

import pytest

from core.arena import Arena
from core.ids import SessionId
from core.quota import Quota
from core.wantmap import WantMap
from tests.transports.multicast.test_incoming import KEY, _client, _server, _take
from transports.base import ServedSession, Steerable
from transports.conformance.sample import sample_image

pytestmark = pytest.mark.asyncio


async def test_a_chunk_that_left_the_map_is_not_sent_and_one_that_came_to_it_is() -> None:
    manifest, store, _ = sample_image(chunks=60)
    server = _server({"port": 0, "mode": "asm", "rate_mbit_per_s": 8})
    await server.start()
    try:
        offer = server.open_session(ServedSession(id=SessionId("s"), key=KEY, manifest=manifest, chunks=store))
        want, arena = WantMap(60), Quota(Arena(slot_bytes=1 << 18, slots=6), 6)
        want.discard_all(range(50, 60))
        fetch = _client().fetch(offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena)
        came = []
        async with fetch as incoming, asyncio.timeout(60):
            assert isinstance(incoming, Steerable)
            first = await anext(incoming)
            came.append(first.chunk)
            _take(first, incoming, want)
            want.discard_all(range(20, 40))
            want.add(55)
            arena.set_limit(3)
            async for delivery in incoming:
                came.append(delivery.chunk)
                _take(delivery, incoming, want)
            assert incoming._reception.slots == 3  # what its reports call a backlog is counted from
        assert sorted(came) == [*range(20), *range(40, 50), 55]
        assert server.counters()["chunks_sent"] <= len(came) + 2  # what was on its way came all the same
        assert arena.held == 0
    finally:
        await server.stop(grace_s=1)
        store.close()


async def test_an_outlook_tells_what_is_under_way_and_what_comes_last() -> None:
    manifest, store, _ = sample_image(chunks=60)
    server = _server({"port": 0, "mode": "asm", "rate_mbit_per_s": 8})
    await server.start()
    try:
        offers = [
            server.open_session(ServedSession(id=SessionId(name), key=KEY, manifest=manifest, chunks=store))
            for name in ("early", "late")
        ]
        wants, arenas = [WantMap(60), WantMap(60)], [Arena(slot_bytes=1 << 18, slots=6) for _ in range(2)]
        fetches = [
            _client().fetch(
                offers[number],
                session_id=SessionId(name),
                key=KEY,
                manifest=manifest,
                want=wants[number],
                arena=arenas[number],
            )
            for number, name in enumerate(("early", "late"))
        ]
        async with asyncio.timeout(60), fetches[0] as early:
            for _ in range(20):
                _take(await anext(early), early, wants[0])
            async with fetches[1] as late:
                first = await anext(late)
                assert first.chunk >= 15
                while not (outlook := late.outlook()).last:  # noqa: ASYNC110 - looked up on another thread
                    await asyncio.sleep(0.05)
                assert first.chunk in outlook.under_way
                assert set(range(15)) <= outlook.last
                assert not outlook.last & outlook.under_way
                assert max(outlook.last) < 60
                assert not outlook.resting
                first.release()
    finally:
        await server.stop(grace_s=1)
        store.close()
