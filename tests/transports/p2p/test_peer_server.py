"""A listening peer over real sockets: whom it lets in, what it sends, how fast, and how its packets are marked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

import pytest

from core.arena import Arena
from core.ids import ChunkIndex
from images.codec import decode_into
from images.manifest import Manifest
from transports.conformance.sample import CHUNK_BYTES, SampleStore, sample_image
from transports.member.proto.maps import unpack_wants
from transports.p2p.peer_server import PeerServer
from transports.p2p.proto.credentials import credential, lane_name
from transports.p2p.shelf import Shelf
from transports.p2p.source_lane import SourceLane
from transports.unicast.dial import dial
from transports.unicast.proto.answers import Event, Gone, Held, News, Received, Refused
from transports.unicast.proto.asking import AskingLane

pytestmark = pytest.mark.asyncio

LISTEN_KEY = bytes(range(32))
WAIT_S = 20.0
SLOT_BYTES = CHUNK_BYTES + 65536


E = TypeVar("E")


class Asker:
    """One other member, asking chunk by chunk."""

    def __init__(self, manifest: Manifest, member: int, *, key: bytes | None = None) -> None:
        self.manifest = manifest
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self._arena = Arena(slot_bytes=SLOT_BYTES, slots=2)
        machine = AskingLane(
            session_id=lane_name(member),
            key=key or credential(LISTEN_KEY, member),
            nonce=os.urandom(32),
            root=manifest.root,
            chunks=manifest.chunk_count,
            raw_length=manifest.raw_length,
            wanted=lambda chunk: True,
            slot_bytes=SLOT_BYTES,
            stall_s=30.0,
            now=asyncio.get_running_loop().time(),
            other="a peer",
        )
        self._opened = asyncio.Event()
        self.lane = SourceLane(member, machine, self._step)

    async def connect(self, port: int, host: str = "127.0.0.1") -> None:
        """Until the image is open."""
        await dial(host, port, lambda: self.lane)
        async with asyncio.timeout(WAIT_S):
            await self._opened.wait()

    async def held(self) -> list[int]:
        """What the peer says it has."""
        self.lane.ask_map()
        self.lane.flush()
        event = await self.hear(Held)
        return [int(chunk) for chunk in unpack_wants(event.packed, self.manifest.chunk_count).nonzero()[0]]

    async def take(self, chunk: int) -> bytes | None:
        """One chunk, decoded; None when the peer has not got it."""
        slot = self._arena.try_acquire()
        assert slot is not None
        self.lane.ask(chunk, slot)
        self.lane.flush()
        while True:
            async with asyncio.timeout(WAIT_S):
                event = await self.events.get()
            if isinstance(event, Refused):
                while (spare := self.lane.machine.take_slot()) is not None:
                    spare.release()
                return None
            if isinstance(event, Received):
                raw = bytearray(self.manifest.raw_length(ChunkIndex(event.chunk)))
                view = event.slot.view  # type: ignore[attr-defined]
                decode_into(view[: event.length], event.encoding, memoryview(raw))
                event.slot.release()
                return bytes(raw)

    async def hear(self, kind: type[E]) -> E:
        """The next event of this kind."""
        while True:
            async with asyncio.timeout(WAIT_S):
                event = await self.events.get()
            if isinstance(event, kind):
                return event

    def _step(self, lane: SourceLane) -> None:
        if lane.machine.opened or lane.machine.failed is not None:
            self._opened.set()
        while (event := lane.poll_event()) is not None:
            self.events.put_nowait(event)


@contextlib.asynccontextmanager
async def _serving(
    *, chunks: int = 8, host: str = "127.0.0.1", **options: int
) -> AsyncIterator[tuple[PeerServer, Shelf, SampleStore, list[bytes]]]:
    manifest, store, raws = sample_image(chunks=chunks)
    with store:
        shelf = Shelf(manifest, cache=store)
        shelf.look_up()
        server = PeerServer(shelf, **options)
        server.start(host)
        server.admit(LISTEN_KEY)
        try:
            yield server, shelf, store, raws
        finally:
            await server.close()
            shelf.close()


async def test_what_the_cache_holds_is_given_byte_for_byte() -> None:
    async with _serving() as (server, shelf, _, raws):
        asker = Asker(shelf.manifest, 7)
        await asker.connect(server.port)
        assert await asker.held() == list(range(8))
        assert [await asker.take(chunk) for chunk in range(8)] == raws
        assert server.counts["chunks_sent"] == 8
        asker.lane.close()


async def test_who_has_no_credential_of_repod_gets_nothing() -> None:
    async with _serving() as (server, shelf, _, _raws):
        stranger = Asker(shelf.manifest, 7, key=credential(LISTEN_KEY, 8))
        await stranger.connect(server.port)
        assert stranger.lane.failed is not None
        assert server.counts["bytes_sent"] == 0
        stranger.lane.close()


async def test_a_chunk_the_cache_lost_is_refused_told_to_all_and_the_lane_goes_on() -> None:
    async with _serving() as (server, shelf, store, raws):
        told: list[int] = []
        server.on_gone = told.extend
        asker, other = Asker(shelf.manifest, 7), Asker(shelf.manifest, 8)
        await asker.connect(server.port)
        await other.connect(server.port)
        assert len(await other.held()) == 8
        assert len(await asker.held()) == 8
        store.lose(shelf.manifest.digest(ChunkIndex(3)))
        assert await asker.take(3) is None
        assert (await other.hear(Gone)).chunks == [3]
        assert told == [3]
        assert await asker.take(4) == raws[4]
        for each in (asker, other):
            each.lane.close()


async def test_what_reaches_the_disk_later_is_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.p2p.peer_server.RECHECK_EVERY_S", 0.02)
    async with _serving() as (server, shelf, _, _raws):
        asker = Asker(shelf.manifest, 7)
        await asker.connect(server.port)
        shelf._held[5] = False
        shelf._awaited.append(5)
        assert 5 not in await asker.held()
        assert (await asker.hear(News)).chunks == [5]
        asker.lane.close()


async def test_a_capped_peer_sends_no_faster_than_its_cap() -> None:
    rate = 1_000_000
    async with _serving(chunks=12, upload_bytes_per_s=rate) as (server, shelf, _, raws):
        askers = [Asker(shelf.manifest, member) for member in (7, 8)]
        for asker in askers:
            await asker.connect(server.port)
        began = time.monotonic()

        async def take_all(asker: Asker) -> list[bytes | None]:
            return [await asker.take(chunk) for chunk in range(12)]

        assert await asyncio.gather(*map(take_all, askers)) == [raws, raws]
        took = time.monotonic() - began
        # The last chunk may go out at the speed of the link, and so may what a quarter of a second allows.
        assert took >= (server.counts["bytes_sent"] - CHUNK_BYTES) / rate - 0.25
        assert server.counts["bytes_sent"] > rate / 2
        for asker in askers:
            asker.lane.close()


@pytest.mark.root
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_every_packet_of_a_peer_carries_its_class(host: str) -> None:
    """Seen on the wire, not asked of the socket."""
    with _sniffer() as sniffer:
        async with _serving(host=host, dscp=8) as (server, shelf, _, raws):
            port = server.port
            asker = Asker(shelf.manifest, 7)
            await asker.connect(port, host)
            assert await asker.take(0) == raws[0]
            asker.lane.close()
        classes = _classes_from(sniffer, port)
    assert classes
    assert set(classes) == {8}


@contextlib.contextmanager
def _sniffer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as sniffer:  # every protocol
        sniffer.bind(("lo", 3))
        sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sniffer.setblocking(False)
        yield sniffer


def _classes_from(sniffer: socket.socket, port: int) -> list[int]:
    """DSCP of each TCP packet that was sent from `port`."""
    classes = []
    while True:
        try:
            packet = sniffer.recv(65536)
        except BlockingIOError:
            return classes
        if packet[0] >> 4 == 4:
            header, protocol, mark = (packet[0] & 15) * 4, packet[9], packet[1]
        else:
            header, protocol, mark = 40, packet[6], (packet[0] & 15) << 4 | packet[1] >> 4
        if protocol == socket.IPPROTO_TCP and int.from_bytes(packet[header : header + 2], "big") == port:
            classes.append(mark >> 2)
