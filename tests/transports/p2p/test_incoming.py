"""What a session sees of a swarm: how it ends, and that it goes on without the repository."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from core.errors import ChunkError, PathError, TransferError
from core.ids import ChunkIndex
from tests.support.swarms import running
from tests.support.takers import SLOTS, Taker
from transports.p2p.exchange import Exchange
from transports.p2p.neighbourhood import Neighbourhood
from transports.p2p.proto import guests
from transports.p2p.proto.scatter import Scatter

pytestmark = pytest.mark.asyncio


async def test_a_session_the_repository_ends_says_why() -> None:
    async with running() as room:
        taker = Taker(room)
        taker.gate.clear()
        taker.start()
        await taker.offered.wait()
        room.server.close_session(taker.session, "aborted by the operator")
        taker.gate.set()
        assert taker.task is not None
        async with asyncio.timeout(20):
            await taker.task
        assert isinstance(taker.error, TransferError)
        assert "aborted by the operator" in str(taker.error)
        assert taker.arena.free == SLOTS


async def test_a_chunk_nobody_can_give_is_named_when_all_others_are_there() -> None:
    async with running() as room:
        room.store.lose(room.manifest.digest(ChunkIndex(7)))
        taker = Taker(room).start()
        assert taker.task is not None
        async with asyncio.timeout(20):
            await taker.task
        assert isinstance(taker.error, ChunkError)
        assert "7" in str(taker.error)
        assert set(taker.got) == set(range(40)) - {7}
        assert taker.arena.free == SLOTS


async def test_who_is_brought_nothing_though_the_repository_answers_takes_another_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transports.p2p.proto.hope.IDLE_S", 0.5)
    monkeypatch.setattr(Scatter, "fill", lambda *_: [])
    monkeypatch.setattr(Scatter, "assign_urgent", lambda *_: None)
    async with running() as room:
        taker = Taker(room).start()
        assert taker.task is not None
        async with asyncio.timeout(20):
            await taker.task
        assert isinstance(taker.error, PathError)
        assert taker.arena.free == SLOTS


async def test_what_is_left_to_a_member_in_the_middle_comes_as_well() -> None:
    async with running() as room:
        taker = Taker(room)
        for chunk in (3, 5):
            taker.want.discard(chunk)
        taker.gate.clear()
        taker.start()
        await taker.offered.wait()
        for chunk in (3, 5):
            taker.want.add(chunk)
        taker.gate.set()
        await taker.done()
        assert set(taker.got) == set(range(40))
        assert taker.sources.total() == 40


async def test_a_fault_in_its_clock_ends_the_path_and_does_not_leave_the_session_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = asyncio.Event()

    def fail(self: Exchange, now: float) -> None:
        failed.set()
        raise KeyError("no such source")

    monkeypatch.setattr(Exchange, "handle_timer", fail)
    async with running() as room:
        taker = Taker(room)
        taker.gate.clear()
        taker.start()
        async with asyncio.timeout(20):
            await taker.offered.wait()
            await failed.wait()
            taker.gate.set()
            assert taker.task is not None
            await taker.task
        assert isinstance(taker.error, PathError)
        assert "no such source" in str(taker.error)
        assert taker.arena.free == SLOTS


async def test_a_fault_in_a_neighbours_upkeep_ends_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Neighbourhood, source: int, address: object) -> None:
        raise KeyError(f"no lane for {source}")

    monkeypatch.setattr(Neighbourhood, "_begin", fail)
    async with running() as room:
        taker = Taker(room).start()
        async with asyncio.timeout(20):
            assert taker.task is not None
            await taker.task
        assert isinstance(taker.error, PathError)
        assert "no lane for" in str(taker.error)


async def test_strangers_that_had_to_make_room_are_told_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "STRANGER_S", 0.0)
    async with running() as room, contextlib.AsyncExitStack() as strangers:
        taker = Taker(room)
        taker.gate.clear()
        taker.start()
        await taker.offered.wait()
        member = next(iter(room.server._seats[taker.session].swarm.directory))
        readers = []
        for _ in range(guests.STRANGERS_MAX + 1):
            reader, writer = await asyncio.open_connection("127.0.0.1", member.port)
            strangers.callback(writer.close)
            readers.append(reader)
        async with asyncio.timeout(20):
            assert await readers[0].read(1) == b""
        taker.gate.set()
        await taker.done()
        assert (await taker.hears("shared"))["strangers_dropped"] == 1


async def test_what_is_lacking_when_a_member_starts_again_is_all_it_takes() -> None:
    async with running() as room:
        taker = Taker(room)
        taker.start()
        await taker.until(10)
        await taker.kill()
        had = set(taker.got)
        taker.sources.clear()
        await taker.again().done()
        assert set(taker.got) == set(range(40))
        assert taker.sources.total() == 40 - len(had)
