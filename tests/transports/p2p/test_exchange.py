"""The lanes of a swarm, between the real client half and the real server half over loopback."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.arena import Arena
from core.ids import ChunkIndex
from core.wantmap import WantMap
from images.stores import Encoding
from tests.support.swarms import running
from tests.support.takers import SLOTS, Taker
from transports.p2p.exchange import ASKED_BYTES, ASKED_MIN, Exchange
from transports.p2p.proto.crowd import CROWD
from transports.p2p.source_lane import SourceLane
from transports.p2p.traffic import Traffic
from transports.unicast.proto.answers import Received

pytestmark = pytest.mark.asyncio


async def test_a_room_shares_what_the_repository_gave_once_and_no_slot_is_lost() -> None:
    async with running(chunks=60) as room:
        takers = [Taker(room).start() for _ in range(3)]
        await asyncio.gather(*(taker.done() for taker in takers))
        assert all(taker.arena.free == SLOTS for taker in takers)
        assert all(len(taker.got) == 60 for taker in takers)
        assert all(taker.from_peers for taker in takers)
        assert sum(taker.sources["repository"] for taker in takers) <= 90


async def test_a_crowd_names_chunks_when_turns_come_and_loses_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: Counter[str] = Counter()
    for name in ("ask_turn", "pass_turn"):
        monkeypatch.setattr(SourceLane, name, _counted(turns, name))
    async with running(chunks=60) as room:
        takers = [Taker(room).start() for _ in range(CROWD + 3)]
        await asyncio.gather(*(taker.done() for taker in takers))
        assert all(taker.arena.free == SLOTS for taker in takers)
        assert all(len(taker.got) == 60 for taker in takers)
        assert turns["ask_turn"] > turns["pass_turn"]


def _counted(turns: Counter[str], name: str) -> Callable[[SourceLane], None]:
    call: Callable[[SourceLane], None] = getattr(SourceLane, name)

    def counting(lane: SourceLane) -> None:
        turns[name] += 1
        call(lane)

    return counting


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


async def test_a_chunk_that_came_in_vain_is_counted_and_its_slot_given_back() -> None:
    swarm: Any = SimpleNamespace(handle_arrived=lambda source, chunk, now: False)
    arena, traffic = Arena(slot_bytes=16, slots=2), cast("Traffic", None)
    exchange = Exchange(
        swarm=swarm,
        want=WantMap(4),
        arena=arena,
        traffic=traffic,
        send=lambda message: None,
        on_change=lambda: None,
    )
    slot = arena.try_acquire()
    assert slot is not None
    exchange._receive(1, Received(slot=slot, chunk=ChunkIndex(3), length=5, encoding=Encoding.RAW), 1.0)
    assert exchange.duplicate_bytes == 5
    assert not exchange.ready
    assert arena.free == 2


@pytest.mark.parametrize(
    ("slot_bytes", "slots", "under_way", "room"),
    [
        (ASKED_BYTES // 12, 24, 0, 12),
        (ASKED_BYTES // 12, 24, 11, 1),
        (ASKED_BYTES // 12, 24, 12, 0),
        (ASKED_BYTES // 2, 24, 0, ASKED_MIN),
        (ASKED_BYTES // 12, 4, 0, 4),
    ],
)
async def test_no_more_is_asked_for_than_a_link_needs_whatever_memory_there_is(
    slot_bytes: int, slots: int, under_way: int, room: int
) -> None:
    told: list[int] = []
    swarm: Any = SimpleNamespace(
        handle_change=lambda: None,
        requests=SimpleNamespace(count=under_way),
        poll_cancel=lambda: None,
        poll_ask=lambda now, free_slots: told.append(free_slots),
        poll_turn=lambda now, free_slots: None,
        turns=SimpleNamespace(poll_pass=lambda: None),
        poll_needs=list,
        poll_failed=list,
        poll_slow=lambda: None,
    )
    exchange = Exchange(
        swarm=swarm,
        want=WantMap(4),
        arena=Arena(slot_bytes=slot_bytes, slots=slots),
        traffic=cast("Traffic", None),
        send=lambda message: None,
        on_change=lambda: None,
    )
    exchange.begin(cast("Any", SimpleNamespace(lanes={})))
    exchange._pump()
    assert told == [room]
