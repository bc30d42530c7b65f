"""Neighbours are connected to, again when that breaks, and given up when it makes no sense."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import pytest

from core.errors import OgcastError
from tests.transports.p2p.test_peer_server import CHUNKS, KEY, ME, Home, home
from transports.conformance.sample import CHUNK_BYTES
from transports.p2p import neighbourhood as neighbourhood_module
from transports.p2p.neighbourhood import TRIES_MAX, UNHEARD_AFTER_S, UNHEARD_MAX_S, Neighbourhood
from transports.p2p.proto.credentials import credential
from transports.p2p.proto.limits import MAX_NEIGHBOURS
from transports.p2p.proto.messages import PeerAddress
from transports.p2p.source_lane import SourceLane
from transports.unicast.proto.asking import AskingLane

pytestmark = pytest.mark.asyncio

ASKING = 9
WAIT_S = 20.0


class Street:
    """A neighbourhood, and what it told."""

    def __init__(self, peer: Home) -> None:
        self.peer = peer
        self.steps = 0
        self.lost: list[tuple[int, str]] = []
        self.faults: list[OgcastError] = []
        self.broken: Exception | None = None
        """What making a machine comes to."""
        self._news = asyncio.Event()
        self.neighbours = Neighbourhood(
            make=self._make, on_step=self._step, on_lost=self._lose, on_fault=self._fail, interface=None
        )
        self.neighbours.me = ASKING

    def address(self, *, member: int = ME, port: int | None = None, bridge: bool = False) -> PeerAddress:
        return PeerAddress(
            id=member,
            host="127.0.0.1",
            port=self.peer.server.port if port is None else port,
            credential=credential(KEY, ASKING, far=bridge),
            same_subnet=not bridge,
            bridge=bridge,
        )

    async def open(self, source: int = ME) -> SourceLane:
        """Its lane, when it is open."""
        async with asyncio.timeout(WAIT_S):
            while source not in self.neighbours.lanes or not self.neighbours.lanes[source].machine.opened:
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await self._news.wait()
        return self.neighbours.lanes[source]

    async def loses(self) -> tuple[int, str]:
        """Who is given up first."""
        async with asyncio.timeout(WAIT_S):
            while not self.lost:
                self._news.clear()
                await self._news.wait()
        return self.lost[0]

    async def fails(self) -> OgcastError:
        """The first fault."""
        async with asyncio.timeout(WAIT_S):
            while not self.faults:
                self._news.clear()
                await self._news.wait()
        return self.faults[0]

    def _make(self, source: int, name: str, key: bytes) -> AskingLane:
        if self.broken is not None:
            raise self.broken
        manifest = self.peer.shelf.manifest
        return AskingLane(
            session_id=name,
            key=key,
            nonce=os.urandom(32),
            root=manifest.root,
            chunks=CHUNKS,
            raw_length=manifest.raw_length,
            wanted=lambda chunk: True,
            slot_bytes=CHUNK_BYTES + 4096,
            stall_s=15.0,
            now=asyncio.get_running_loop().time(),
        )

    def _step(self, lane: SourceLane) -> None:
        lane.opened = lane.opened or lane.machine.opened
        if lane.failed is not None and not lane.closed:
            lane.close()
        self._news.set()

    def _lose(self, source: int, reason: str) -> None:
        self.lost.append((source, reason))
        self._news.set()

    def _fail(self, fault: OgcastError) -> None:
        self.faults.append(fault)
        self._news.set()


@contextlib.asynccontextmanager
async def street() -> AsyncIterator[Street]:
    async with home() as peer:
        made = Street(peer)
        try:
            yield made
        finally:
            await made.neighbours.close()


async def test_whom_repod_names_is_connected_to_until_it_is_forgotten() -> None:
    async with street() as here:
        here.neighbours.meet([here.address()])
        lane = await here.open()
        assert here.neighbours.is_near(ME)
        here.neighbours.meet([here.address()])  # said again: the same lane
        assert here.neighbours.lanes[ME] is lane
        here.neighbours.forget([ME])
        assert lane.closed
        assert here.neighbours.known == 0
        await here.peer.until_lanes(0)


async def test_a_connection_that_broke_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbourhood_module, "PAUSE_FIRST_S", 0.02)
    async with street() as here:
        here.neighbours.meet([here.address()])
        lane = await here.open()
        lane.chunks = 1  # it gave something
        next(iter(here.peer.server._lanes.values())).close("")
        async with asyncio.timeout(WAIT_S):
            await lane.ended.wait()
        assert await here.open() is not lane
        assert not here.lost


async def test_who_does_not_answer_is_given_up_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbourhood_module, "PAUSE_FIRST_S", 0.02)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with street() as here:
        here.neighbours.meet([here.address(port=port)])
        source, reason = await here.loses()
        assert source == ME
        assert "connect" in reason
        here.neighbours.meet([here.address()])  # named again, elsewhere
        await here.open()


async def test_who_hangs_up_again_and_again_without_a_chunk_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbourhood_module, "PAUSE_FIRST_S", 0.02)
    came = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, street() as here:
        here.neighbours.meet([here.address(port=server.sockets[0].getsockname()[1])])
        assert (await here.loses())[0] == ME
        assert came == TRIES_MAX


async def test_who_breaks_the_protocol_is_given_up_at_once() -> None:
    came = 0

    async def rave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        writer.write(b"\xff" * 100)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(rave, "127.0.0.1", 0)
    async with server, street() as here:
        here.neighbours.meet([here.address(port=server.sockets[0].getsockname()[1])])
        assert (await here.loses())[0] == ME
        assert came == 1


async def test_bridges_are_used_only_while_repod_is_away() -> None:
    async with street() as here:
        here.neighbours.meet([here.address(bridge=True)])
        assert here.neighbours.is_bridge(ME)
        assert not here.neighbours.is_near(ME)
        assert not here.neighbours.lanes
        here.neighbours.use_bridges(True)
        lane = await here.open()
        here.neighbours.use_bridges(False)
        assert lane.closed
        assert not here.neighbours.lanes


async def test_the_banned_are_not_met_again_and_too_many_are_not_known() -> None:
    async with street() as here:
        here.neighbours.meet([here.address()])
        lane = await here.open()
        here.neighbours.ban([ME])
        assert lane.closed
        here.neighbours.meet([here.address()])
        assert not here.neighbours.lanes
        here.neighbours.meet([here.address(member=100 + number, bridge=True) for number in range(MAX_NEIGHBOURS + 5)])
        assert here.neighbours.known == MAX_NEIGHBOURS
        assert here.neighbours.refused == 5


async def test_a_fault_is_told_and_being_forgotten_is_none() -> None:
    async with street() as here:
        here.neighbours.meet([here.address()])
        await here.open()
        here.neighbours.forget([ME])
        here.broken = KeyError("no such chunk")
        here.neighbours.meet([here.address()])
        assert "no such chunk" in str(await here.fails())
        assert len(here.faults) == 1
        assert not here.lost


async def test_a_neighbour_that_does_not_say_what_it_holds_is_noticed_until_it_does_or_is_forgotten() -> None:
    async with home() as peer:
        street = Street(peer)
        neighbours, now = street.neighbours, asyncio.get_running_loop().time
        neighbours.meet([street.address()])
        late = now() + UNHEARD_AFTER_S
        assert not neighbours.is_unheard(late - 2 * UNHEARD_AFTER_S)
        assert neighbours.is_unheard(late)
        neighbours.handle_told(ME, late)
        assert not neighbours.is_unheard(late)
        neighbours.meet([street.address(member=ME + 1)])
        late = now() + UNHEARD_AFTER_S
        assert neighbours.is_unheard(late)
        neighbours.forget([ME + 1])
        assert not neighbours.is_unheard(late)
        await neighbours.close()


async def test_who_was_given_up_is_waited_for_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbourhood_module, "PAUSE_FIRST_S", 0.01)
    async with home() as peer:
        street = Street(peer)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        street.neighbours.meet([street.address(port=port)])
        late = asyncio.get_running_loop().time() + UNHEARD_AFTER_S
        assert street.neighbours.is_unheard(late)
        await street.loses()
        assert not street.neighbours.is_unheard(late)
        await street.neighbours.close()


async def test_who_does_not_say_what_it_holds_while_nothing_comes_from_anybody_is_given_up() -> None:
    async with home() as peer:
        street = Street(peer)
        neighbours = street.neighbours
        neighbours.meet([street.address(), street.address(member=ME + 1)])
        now = asyncio.get_running_loop().time()
        neighbours.handle_told(ME, now)
        late = now + UNHEARD_MAX_S
        neighbours.give_up_unheard(late, quiet_s=UNHEARD_MAX_S - 0.1)
        neighbours.give_up_unheard(late - UNHEARD_MAX_S / 2, quiet_s=UNHEARD_MAX_S)
        assert not street.lost
        neighbours.give_up_unheard(late, quiet_s=UNHEARD_MAX_S)
        assert [source for source, _ in street.lost] == [ME + 1]
        assert set(neighbours.lanes) <= {ME}
        neighbours.give_up_unheard(late, quiet_s=UNHEARD_MAX_S)
        assert len(street.lost) == 1
        await neighbours.close()


async def test_nobody_is_given_up_while_others_begin_to_speak_once_each() -> None:
    async with home() as peer:
        street = Street(peer)
        neighbours = street.neighbours
        neighbours.meet([street.address(), street.address(member=ME + 1)])
        now = asyncio.get_running_loop().time()
        neighbours.handle_told(ME, now + UNHEARD_MAX_S)
        neighbours.handle_told(ME, now + 2 * UNHEARD_MAX_S)
        neighbours.give_up_unheard(now + 2 * UNHEARD_MAX_S - 0.1, quiet_s=2 * UNHEARD_MAX_S)
        assert not street.lost
        neighbours.give_up_unheard(now + 2 * UNHEARD_MAX_S, quiet_s=2 * UNHEARD_MAX_S)
        assert [source for source, _ in street.lost] == [ME + 1]
        await neighbours.close()
