"""Guests of a swarm that misbehave cost themselves their lane, and the others nothing."""

from __future__ import annotations

import asyncio
import os

import pytest

from core.errors import AuthenticationError
from core.ids import SessionId
from tests.support.swarms import KEY, Guest, Room, announce, running
from tests.transports.p2p.proto.test_messages import HEALTH
from transports.member import handshake
from transports.member.proto.framing import encode_message
from transports.p2p import server as server_module
from transports.p2p.proto.messages import (
    Announce,
    Assign,
    BadChunk,
    Closing,
    Forget,
    Gone,
    Have,
    Meet,
    Need,
    SwarmMessage,
    Welcome,
)
from transports.unicast.proto.frames import Op
from transports.unicast.proto.messages import Negotiate, request

pytestmark = pytest.mark.asyncio


async def _still_works(room: Room, guest: Guest, *, done: int = 0) -> None:
    """A well-behaved member goes on as if nothing had been."""
    guest.say(Have(chunks=(done,)))
    assert (await guest.hear(Assign)).chunks


@pytest.mark.parametrize(
    "message",
    [
        Have(chunks=(40,)),
        Have(chunks=(0, 1 << 21)),
        Need(chunks=(40,)),
        Gone(chunks=(40,)),
        BadChunk(peer=5, chunk=1, expected=bytes(32), got=bytes(32)),
        Assign(chunks=(1,)),
        announce(400),
        Announce(port=1, subnet="", mode="peer", wanted=b"rubbish", held=b""),
    ],
    ids=lambda message: type(message).__name__,
)
async def test_what_cannot_be_said_ends_the_lane_with_a_reason(message: SwarmMessage) -> None:
    async with running() as room:
        good, bad = await room.join(), await room.join()
        await good.hear(Assign)
        await bad.hear(Assign)
        bad.say(message)
        last = (await bad.hear_end())[-1]
        assert isinstance(last, Closing)
        assert last.reason
        assert not last.retry
        assert (await good.hear(Forget)).ids
        await _still_works(room, good)
        assert room.server.counters()["member_lanes_refused"] == 1
        assert (await room.happens("lane_broken"))["reason"]


async def test_nothing_is_believed_of_who_did_not_announce_itself() -> None:
    async with running() as room:
        session, _ = room.open()
        guest = await room.enter(session)
        guest.say(Have(chunks=(1,)))
        assert isinstance((await guest.hear_end())[-1], Closing)
        assert room.server.session_state(session)["state"] == "offered"


@pytest.mark.parametrize("rubbish", [b"\xff" * 64, (1 << 24).to_bytes(4, "little"), b"\x01\0\0\0\xc1"])
async def test_rubbish_on_a_lane_ends_it(rubbish: bytes) -> None:
    async with running() as room:
        good, bad = await room.join(), await room.join()
        await good.hear(Assign)
        await bad.hear(Welcome)
        bad.lane._writer.write(rubbish)
        assert isinstance((await bad.hear_end())[-1], Closing)
        await _still_works(room, good)


@pytest.mark.parametrize("known", [True, False])
async def test_a_wrong_key_and_an_unknown_session_do_not_come_in(known: bool) -> None:
    async with running() as room:
        session, _ = room.open()
        with pytest.raises(AuthenticationError):
            await room.enter(session if known else SessionId("nobody"), key=os.urandom(32))
        assert room.server.counters()["clients"] == 0


async def test_a_flood_of_announcements_is_heard_slowly_and_keeps_one_member() -> None:
    async with running() as room:
        good, bad = await room.join(), await room.join()
        await good.hear(Assign)
        await bad.hear(Welcome)
        frame = encode_message(announce(room.manifest.chunk_count, subnet="elsewhere"))
        bad.lane._writer.write(frame * 2000)
        assert (await room.happens("member_slowed"))["session"] == bad.session
        assert room.server.counters()["limit_messages"] >= 1
        await _still_works(room, good)
        assert room.server.counters()["clients"] == 2


async def test_five_hundred_strangers_do_not_keep_a_member_out() -> None:
    async with running() as room:
        strangers = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", room.server.port) for _ in range(500)))
        good = await room.join()
        assert (await good.hear(Assign)).chunks == (0, 1)
        for _, writer in strangers:
            writer.close()
        await _still_works(room, good)


async def test_more_strangers_than_there_is_room_for_are_turned_away() -> None:
    async with running(max_members=2) as room:
        strangers = [await asyncio.open_connection("127.0.0.1", room.server.port) for _ in range(6)]
        ends = [asyncio.create_task(reader.read(1)) for reader, _ in strangers]
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        assert done
        assert room.server.counters()["limit_lanes"] >= 1
        for end in ends:
            end.cancel()
        for _, writer in strangers:
            writer.close()


async def test_who_drips_its_handshake_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_S", 0.3)
    async with running() as room:
        reader, writer = await asyncio.open_connection("127.0.0.1", room.server.port)
        frame = request(Op.NEGOTIATE, message=1, payload=Negotiate(nonce=bytes(32)).encode())
        writer.write(frame[:10])
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
        assert room.server.counters()["member_lanes_refused"] == 1


async def test_who_is_gone_without_a_word_is_missed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        server_module, "LANE_IDLE_S", 3.0
    )  # the loud one must never be missed, however busy the machine
    async with running() as room:
        quiet, loud = await room.join(), await room.join()
        await quiet.hear(Welcome)
        await loud.hear(Meet)

        async def talk() -> None:
            while True:
                loud.say(HEALTH)
                await asyncio.sleep(0.1)

        talking = asyncio.create_task(talk())
        try:
            await room.happens("lane_closed")
            # What only the quiet one was getting goes to the other, though its connection never broke.
            loud.say(Have(chunks=(2,)))
            while 0 not in (await loud.hear(Assign)).chunks:
                pass
        finally:
            talking.cancel()
        assert room.server.session_state(quiet.session)["state"] == "away"


async def test_a_member_that_takes_no_message_is_cut_off() -> None:
    async with running() as room:
        deaf, other = await room.join(), await room.join()
        await deaf.hear(Welcome)
        await other.hear(Welcome)
        deaf.lane._writer.transport.pause_reading()  # type: ignore[attr-defined]
        assert (await room.enter(other.session, key=KEY)).session == other.session
        await _still_works(room, other, done=2)
