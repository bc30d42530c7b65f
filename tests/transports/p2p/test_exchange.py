"""The lanes of a swarm, between the real client half and the real server half over loopback."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.swarms import running
from tests.support.takers import SLOTS, Taker

pytestmark = pytest.mark.asyncio


async def test_a_room_shares_what_the_repository_gave_once_and_no_slot_is_lost() -> None:
    async with running(chunks=60) as room:
        takers = [Taker(room).start() for _ in range(3)]
        await asyncio.gather(*(taker.done() for taker in takers))
        assert all(taker.arena.free == SLOTS for taker in takers)
        assert all(len(taker.got) == 60 for taker in takers)
        assert all(taker.from_peers for taker in takers)
        assert sum(taker.sources["repository"] for taker in takers) <= 90


async def test_who_looks_at_nothing_keeps_only_its_own_slots() -> None:
    async with running(chunks=60) as room:
        still, lively = Taker(room, slots=4), Taker(room)
        still.gate.clear()
        still.start()
        lively.start()
        await lively.done(seconds=60)  # what was assigned to the other is given away after four
        assert still.arena.free < 4
        assert not still.got
        still.gate.set()
        await still.done()
        assert still.arena.free == 4


async def test_who_is_stopped_in_the_middle_gives_every_slot_back() -> None:
    async with running(chunks=60) as room:
        taker = Taker(room)
        taker.gate.clear()
        taker.start()
        await taker.offered.wait()
        await taker.kill()
        assert taker.arena.free >= SLOTS - 1  # the one its session was looking at
