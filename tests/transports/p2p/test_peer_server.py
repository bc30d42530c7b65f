"""A listening peer gives what it holds to those repod vouches for, and nothing else to anybody."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import pytest

from core import losses
from core.connecting import retransmit_soon
from core.errors import AuthenticationError, OgcastError
from core.ids import ChunkIndex
from tests.support.tcp import floor_us
from tests.support.visitors import Visitor
from transports.conformance.sample import sample_image
from transports.member.handshake import enter
from transports.p2p import peer_server as peer_server_module
from transports.p2p.peer_server import PeerServer
from transports.p2p.proto import rests
from transports.p2p.proto.credentials import credential, lane_name, listen_key
from transports.p2p.proto.guests import LANES_PER_ADDRESS_MAX, STRANGERS_MAX
from transports.p2p.shelf import Shelf
from transports.unicast.proto.frames import Op, Status
from transports.unicast.proto.limits import MAX_QUEUED_CHUNKS, MAX_READ_CHUNKS
from transports.unicast.proto.messages import Negotiate, pack_chunks, request, unpack_chunks
from transports.unicast.proto.patience import LaneTimes

pytestmark = pytest.mark.asyncio

SECRET = bytes(range(32))
ME = 7
KEY = listen_key(SECRET, ME)
CHUNKS = 40
WAIT_S = 20.0


class Home:
    """A listening peer that holds the even chunks."""

    def __init__(self, server: PeerServer, shelf: Shelf) -> None:
        self.server = server
        self.shelf = shelf
        self.root = shelf.manifest.root
        self.visitors: list[Visitor] = []

    async def welcome(self, member: int, *, far: bool = False) -> Visitor:
        """A neighbour comes in."""
        visitor = await Visitor.known(
            self.server.port, name=lane_name(member, far=far), key=credential(KEY, member, far=far), root=self.root
        )
        self.visitors.append(visitor)
        return visitor

    async def until_lanes(self, count: int) -> None:
        """So many connections are left."""
        async with asyncio.timeout(WAIT_S):
            while self.server.lanes != count:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.02)

    async def knock(self, name: str, key: bytes) -> None:
        """Somebody tries to come in."""
        visitor = await Visitor.connect(self.server.port)
        self.visitors.append(visitor)
        await enter(visitor.reader, visitor.writer, session_id=name, key=key)


@contextlib.asynccontextmanager
async def home(*, welcomed: bool = True, **caps: int) -> AsyncIterator[Home]:
    """`welcomed`: repod has said who may come in."""
    manifest, store, _ = sample_image(chunks=CHUNKS)
    shelf = Shelf(manifest)
    for number in range(0, CHUNKS, 2):
        stored = store.locate(manifest.digest(ChunkIndex(number)))
        shelf.add(ChunkIndex(number), os.pread(stored.fd, stored.length, stored.offset), stored.encoding)
    server = PeerServer(shelf, **caps)
    server.start("127.0.0.1")
    if welcomed:
        server.admit(KEY)
    made = Home(server, shelf)
    try:
        yield made
    finally:
        for visitor in made.visitors:
            await visitor.close()
        await server.close()
        shelf.close()
        store.close()


async def test_it_gives_what_it_holds_and_says_so_of_the_rest() -> None:
    async with home() as peer:
        visitor = await peer.welcome(9)
        visitor.read([0, 1], credits=2)
        frames = {frame.header.subject: frame for frame in [await visitor.hear(Op.READ), await visitor.hear(Op.READ)]}
        assert frames[1].header.status is Status.NOT_FOUND
        assert frames[0].header.status is Status.OK
        assert peer.server.counts["chunks_sent"] == 1
        assert peer.server.bytes_far == 0


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (lane_name(9), bytes(32)),
        (lane_name(9), credential(KEY, 10)),
        (lane_name(9), credential(KEY, 9, far=True)),
        (lane_name(9, far=True), credential(KEY, 9)),
        (lane_name(9), credential(listen_key(SECRET, 8), 9)),
        (lane_name(9), credential(listen_key(bytes(32), ME), 9)),
        (lane_name(9), KEY),
        ("session-1", credential(KEY, 9)),
        ("p0", credential(KEY, 9)),
    ],
    ids=[
        "none",
        "another's",
        "far as near",
        "near as far",
        "of another peer",
        "old swarm",
        "listen key",
        "no id",
        "p0",
    ],
)
async def test_who_has_another_credential_does_not_come_in(name: str, key: bytes) -> None:
    async with home() as peer:
        with pytest.raises(AuthenticationError):
            await peer.knock(name, key)


async def test_who_comes_before_repod_said_who_may_is_answered_once_it_has() -> None:
    async with home(welcomed=False) as peer:
        knocking = asyncio.create_task(peer.knock(lane_name(9), credential(KEY, 9)))
        _, waiting = await asyncio.wait([knocking], timeout=0.3)
        assert waiting
        peer.server.admit(KEY)
        await knocking
        peer.server.admit(KEY)  # repod is back, and says it again
        await peer.welcome(10)


async def test_nobody_comes_in_after_a_ban() -> None:
    async with home() as peer:
        peer.server.ban([9])
        with pytest.raises(AuthenticationError):
            await peer.knock(lane_name(9), credential(KEY, 9))
        inside = await peer.welcome(10)
        peer.server.ban([10])
        last = await inside.ended()
        assert last is not None
        assert (last.op, last.status) == (Op.LEASE_BREAK, Status.DENIED)


async def test_requests_without_credits_are_not_answered_and_bounded() -> None:
    async with home() as peer:
        visitor = await peer.welcome(9)
        visitor.read(range(0, CHUNKS, 2), credits=0)
        visitor.say(Op.ECHO)
        await visitor.hear(Op.ECHO)
        assert peer.server.counts["chunks_sent"] == 0
        visitor.say(Op.GRANT, credits=1)
        assert (await visitor.hear(Op.READ)).header.subject == 0
        for _ in range(MAX_QUEUED_CHUNKS // MAX_READ_CHUNKS + 1):
            visitor.read([0] * MAX_READ_CHUNKS, credits=0)
        last = await visitor.ended()
        assert last is not None
        assert (last.op, last.status) == (Op.LEASE_BREAK, Status.VIOLATION)
        assert peer.server.counts["chunks_sent"] == 1


async def test_credits_nobody_can_mean_end_the_lane() -> None:
    async with home() as peer:
        visitor = await peer.welcome(9)
        for _ in range(10):
            visitor.say(Op.GRANT, credits=0xFFFF)
        last = await visitor.ended()
        assert last is not None
        assert last.status is Status.VIOLATION


async def test_another_version_of_the_image_is_not_here() -> None:
    async with home() as peer:
        older, store, _ = sample_image(chunks=CHUNKS, seed=2)
        store.close()
        visitor = await peer.welcome(9)
        visitor.say(Op.OPEN, payload=older.root)
        assert (await visitor.hear(Op.OPEN)).header.status is Status.NOT_FOUND
        visitor.read([0], credits=1)
        assert (await visitor.hear(Op.READ)).header.status is Status.OK


@pytest.mark.parametrize("kind", ["beyond", "map twice", "news", "capture", "rubbish"])
async def test_what_makes_no_sense_ends_the_lane_and_nothing_else(kind: str) -> None:
    async with home() as peer:
        bad, good = await peer.welcome(9), await peer.welcome(10)
        if kind == "beyond":
            bad.read([CHUNKS], credits=1)
        elif kind == "map twice":
            bad.say(Op.MAP, subject=1)
            bad.say(Op.MAP, subject=1)
        elif kind == "news":
            bad.say(Op.NEWS, payload=pack_chunks([0]), subject=1)
        elif kind == "capture":
            bad.say(Op.WRITE, payload=bytes(100))
        else:
            bad.writer.write(b"\xff" * 64)
        last = await bad.ended()
        assert last is not None
        assert (last.op, last.status) == (Op.LEASE_BREAK, Status.VIOLATION)
        await bad.close()
        await peer.until_lanes(1)
        good.read([2], credits=1)
        assert (await good.hear(Op.READ)).header.status is Status.OK
        assert peer.server.counts["lanes_broken"] == 1


async def test_a_storm_of_five_hundred_is_bounded_and_a_neighbour_comes_in_soon() -> None:
    async with home() as peer:
        friend = await peer.welcome(9)
        storm = await asyncio.gather(*(Visitor.connect(peer.server.port) for _ in range(500)))
        peer.visitors += storm
        assert peer.server.lanes <= min(STRANGERS_MAX, LANES_PER_ADDRESS_MAX) + 1
        friend.read([0], credits=1)
        assert (await friend.hear(Op.READ)).header.status is Status.OK
        async with asyncio.timeout(WAIT_S):
            while True:  # as a neighbour does: again after a pause, when it was refused
                with contextlib.suppress(OgcastError, AssertionError):
                    late = await peer.welcome(10)
                    break
                await asyncio.sleep(0.2)
        late.read([2], credits=1)
        assert (await late.hear(Op.READ)).header.status is Status.OK
        assert peer.server.counts["lanes_refused"] > 0
        assert peer.server.counts["strangers_dropped"] > 0


async def test_who_drips_its_handshake_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_server_module, "TIMES", LaneTimes(handshake_s=0.3, idle_s=60.0, write_s=30.0))
    async with home() as peer:
        slow = await Visitor.connect(peer.server.port)
        peer.visitors.append(slow)
        slow.writer.write(request(Op.NEGOTIATE, message=1, payload=Negotiate(nonce=bytes(32)).encode())[:10])
        last = await slow.ended()
        assert last is not None
        assert last.status is Status.TIMEOUT
        await peer.until_lanes(0)


async def test_a_half_open_connection_ends_when_nothing_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_server_module, "TIMES", LaneTimes(handshake_s=5.0, idle_s=0.4, write_s=30.0))
    async with home() as peer:
        gone = await peer.welcome(9)  # and never says anything again, not even goodbye
        last = await gone.ended()
        assert last is not None
        assert last.status is Status.TIMEOUT
        await peer.until_lanes(0)


async def test_who_takes_nothing_is_dropped_and_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_server_module, "TIMES", LaneTimes(handshake_s=5.0, idle_s=60.0, write_s=0.5))
    async with home() as peer:
        deaf, good = await peer.welcome(9), await peer.welcome(10)
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(4):
            deaf.read([0, 2, 4, 6, 8, 10, 12, 14] * 32, credits=256)
        good.read([2], credits=1)
        assert (await good.hear(Op.READ)).header.status is Status.OK
        await peer.until_lanes(1)
        good.say(Op.ECHO)
        await good.hear(Op.ECHO)
        assert peer.server.counts["lanes_broken"] == 1


async def test_a_second_lane_of_a_member_takes_the_place_of_the_first() -> None:
    async with home() as peer:
        first = await peer.welcome(9)
        second = await peer.welcome(9)
        last = await first.ended()
        assert last is not None
        assert (last.op, last.status) == (Op.LEASE_BREAK, Status.REPLACED)
        second.read([0], credits=1)
        assert (await second.hear(Op.READ)).header.status is Status.OK
        assert peer.server.counts["lanes_replaced"] == 1


async def test_news_and_what_is_gone_is_told_after_the_map() -> None:
    async with home() as peer:
        visitor = await peer.welcome(9)
        visitor.say(Op.MAP, subject=1)
        await visitor.hear(Op.MAP)
        encoding = peer.shelf.ring.locate(peer.shelf.manifest.digest(ChunkIndex(0))).encoding
        peer.shelf.add(ChunkIndex(1), b"anything", encoding)
        assert unpack_chunks((await visitor.hear(Op.NEWS)).payload, CHUNKS) == [1]
        peer.server.is_held_by = lambda member, chunk: (member, chunk) == (9, 3)
        for chunk in (3, 5, 3):
            peer.shelf.add(ChunkIndex(chunk), b"anything", encoding)
        assert unpack_chunks((await visitor.hear(Op.NEWS)).payload, CHUNKS) == [3, 5], "3 was no news, and goes with 5"


async def test_the_rate_of_each_lane_follows_its_losses() -> None:
    async with home() as peer:
        await asyncio.gather(peer.welcome(9), peer.welcome(10))
        lanes = peer.server._lanes.values()
        assert {lane._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 4) for lane in lanes} == {b"reno"}


async def test_on_a_bad_cable_a_lane_has_the_way_of_the_system_as_long_as_it_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(losses, "LOSSY_SHARE", -1.0)  # any cable is one
    monkeypatch.setattr(losses, "MENDED_SHARE", 1.0)  # and then none any more
    monkeypatch.setattr(losses, "LATELY_PACKETS", 1)
    monkeypatch.setattr(losses, "FIRST_LOOK_PACKETS", 1)
    async with home() as peer:
        visitor = await peer.welcome(9)
        (lane,) = peer.server._lanes.values()
        with socket.socket() as usual:
            system = usual.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
            retransmit_soon(usual)
            soon_us = floor_us(usual)
        assert floor_us(lane._sock) == soon_us
        for chunk, count, way in ((0, 1, system.rstrip(b"\0")), (2, 1, b"reno"), (0, 2, system.rstrip(b"\0"))):
            visitor.read([chunk], credits=1)
            assert (await visitor.hear(Op.READ)).header.status is Status.OK
            assert peer.server.counts["lanes_lossy"] == count
            assert lane._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == way
            assert floor_us(lane._sock) == soon_us


async def test_a_lane_whose_first_packets_come_through_waits_as_long_as_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(losses, "FIRST_LOOK_PACKETS", 2)
    async with home() as peer:
        visitor = await peer.welcome(9)
        (lane,) = peer.server._lanes.values()
        with socket.socket() as usual:
            patient_us = floor_us(usual)
        assert floor_us(lane._sock) != patient_us or not retransmit_soon(lane._sock)
        for chunk in (0, 2):
            visitor.read([chunk], credits=1)
            assert (await visitor.hear(Op.READ)).header.status is Status.OK
        assert floor_us(lane._sock) == patient_us
        assert peer.server.counts["lanes_lossy"] == 0


async def test_a_lane_whose_way_back_is_forbidden_goes_on_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "LOSSY_SHARE", -1.0)
    monkeypatch.setattr(losses, "FIRST_LOOK_PACKETS", 1)
    async with home() as peer:
        visitor = await peer.welcome(9)
        (lane,) = peer.server._lanes.values()
        lane._way = b"no such way"
        visitor.read([0, 2], credits=2)
        for _ in range(2):
            assert (await visitor.hear(Op.READ)).header.status is Status.OK
        assert peer.server.counts["lanes_lossy"] == 1


async def test_a_turn_is_held_until_its_chunk_is_named_or_it_is_passed() -> None:
    async with home() as peer:
        peer.server.set_slots(1)
        first, second = await peer.welcome(9), await peer.welcome(10)
        first.say(Op.TURN)
        assert (await first.hear(Op.TURN)).header.reply
        second.say(Op.TURN)
        second.say(Op.ECHO)
        assert (await second.hear(Op.ECHO)).header.reply  # the only turn there is belongs to the first
        first.read([0], credits=1)
        assert (await first.hear(Op.READ)).header.status is Status.OK
        assert (await second.hear(Op.TURN)).header.reply
        first.say(Op.TURN)
        second.say(Op.PASS)
        assert (await first.hear(Op.TURN)).header.reply
        first.read([1], credits=1)  # which is not held
        assert (await first.hear(Op.READ)).header.status is Status.NOT_FOUND
        second.say(Op.TURN)
        assert (await second.hear(Op.TURN)).header.reply
        assert peer.server.counts["chunks_sent"] == 1


async def test_who_passes_a_turn_it_held_waits_behind_others_however_early_it_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rests, "IN_TIME_S", -1.0)  # every turn was held too long
    monkeypatch.setattr(rests, "REST_TIMES", 0.3)
    async with home() as peer:
        peer.server.set_slots(1)
        first, second = await peer.welcome(9), await peer.welcome(10)
        first.say(Op.TURN)
        assert (await first.hear(Op.TURN)).header.reply
        first.say(Op.PASS)
        first.say(Op.TURN)
        first.say(Op.ECHO)
        assert (await first.hear(Op.ECHO)).header.reply
        second.say(Op.TURN)
        assert (await second.hear(Op.TURN)).header.reply
        second.say(Op.PASS)
        assert (await first.hear(Op.TURN)).header.reply  # its rest is over
        assert peer.server.counts["turns_deferred"] == 2


async def test_what_goes_to_another_subnet_is_counted_and_held_back() -> None:
    async with home(upload_far_bytes_per_s=4 << 20) as peer:
        near, far = await peer.welcome(9), await peer.welcome(10, far=True)
        wanted = list(range(0, CHUNKS, 2)) * 5
        far.read(wanted, credits=len(wanted))
        near.read([0], credits=1)
        assert (await near.hear(Op.READ)).header.status is Status.OK
        taken = 0
        for _ in wanted:
            frame = await far.next()
            while frame is not None and frame.header.op is Op.WAIT:
                frame = await far.next()
            assert frame is not None
            taken += len(frame.payload)
        assert peer.server.bytes_far == taken
        assert peer.server.counts["bytes_sent"] > taken
        assert peer.server._slots.held_back > 0


async def test_who_holds_least_is_given_first_and_who_gives_nothing_last() -> None:
    async with home(upload_bytes_per_s=128 << 10) as peer:
        peer.server.held_by = {9: 5, 10: 0}.get
        first, much, little, taker = [await peer.welcome(number) for number in (8, 9, 10, 11)]
        first.read([0], credits=1)
        assert (await first.hear(Op.READ)).header.status is Status.OK
        came: list[int] = []

        async def take(visitor: Visitor, number: int) -> None:
            visitor.read([2], credits=1)
            frame = await visitor.next()
            while frame is not None and frame.header.op is Op.WAIT:
                frame = await visitor.next()
            assert frame is not None
            assert frame.header.status is Status.OK
            came.append(number)

        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
            for place, (visitor, number) in enumerate([(taker, 11), (much, 9), (little, 10)], start=1):
                tasks.create_task(take(visitor, number))
                while not came and peer.server._slots.waiting != place:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.005)
        assert came == [10, 9, 11]


async def test_it_settles_when_nobody_is_there_or_asks() -> None:
    async with home() as peer:
        async with asyncio.timeout(WAIT_S):
            await peer.server.settle(within_s=10 * WAIT_S)
        await peer.welcome(9)
        async with asyncio.timeout(WAIT_S):
            await peer.server.settle(within_s=10 * WAIT_S)


async def test_it_does_not_settle_while_somebody_who_is_connected_may_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_server_module, "QUIET_S", 1000.0)
    async with home() as peer:
        visitor = await peer.welcome(9)
        async with asyncio.timeout(WAIT_S):
            await peer.server.settle(within_s=1000.0)  # nobody ever asked
        visitor.read([2], credits=1)
        assert (await visitor.hear(Op.READ)).header.status is Status.OK
        settling = asyncio.create_task(peer.server.settle(within_s=1000.0))
        visitor.read([4], credits=1)
        assert (await visitor.hear(Op.READ)).header.status is Status.OK
        assert not settling.done()
        visitor.writer.close()
        async with asyncio.timeout(WAIT_S):
            await settling


async def test_it_settles_when_what_was_asked_for_is_sent_and_waits_for_nobody_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with home() as peer:
        deaf, good = await peer.welcome(9), await peer.welcome(10)
        good.read([2, 4], credits=2)
        for _ in range(2):
            assert (await good.hear(Op.READ)).header.status is Status.OK
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(4):
            deaf.read([0, 2, 4, 6, 8, 10, 12, 14] * 32, credits=256)
        async with asyncio.timeout(WAIT_S):
            while not peer.server._slots.active:  # noqa: ASYNC110 (nothing tells that it blocks)
                await asyncio.sleep(0.01)
            await peer.server.settle(within_s=0.3)
        assert peer.server.lanes == 2
        monkeypatch.setattr(peer_server_module, "STILL_SHARE", 0.01)
        async with asyncio.timeout(WAIT_S):
            await peer.server.settle(within_s=20 * WAIT_S)  # nobody takes a byte
        assert peer.server.lanes == 2
