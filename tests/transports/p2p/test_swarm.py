"""Seats and lanes around the directory, over real loopback connections."""

from __future__ import annotations

import pytest

from core.errors import RepositoryTroubleError
from core.ids import ChunkIndex, Digest
from images.stores import StoredChunk
from tests.support.swarms import announce, running
from tests.transports.p2p.proto.test_messages import HEALTH
from transports.p2p.proto.messages import (
    Assign,
    BadChunk,
    Banned,
    Closing,
    Damaged,
    Done,
    Failed,
    Forget,
    Have,
    Leave,
    Meet,
    Need,
    Welcome,
)

pytestmark = pytest.mark.asyncio


async def test_a_newer_connection_takes_the_place_of_an_older_one() -> None:
    async with running() as room:
        guest = await room.join()
        member = (await guest.hear(Welcome)).member
        again = await room.enter(guest.session)
        again.say(announce(room.manifest.chunk_count))
        assert (await again.hear(Welcome)).member == member
        await guest.hear_end()
        again.say(Have(chunks=(0,)))
        assert (await again.hear(Assign)).chunks


async def test_a_session_that_ended_while_its_lane_was_let_in_makes_nobody_a_member() -> None:
    async with running() as room:
        session, _ = room.open()
        guest = await room.enter(session)
        room.server.close_session(session, "expired")
        guest.say(announce(room.manifest.chunk_count))
        closing = await guest.hear(Closing)
        assert ("ended" in closing.reason, closing.retry) == (True, False)
        await guest.hear_end()
        assert not any(isinstance(message, Welcome) for message in guest.heard)


async def test_who_leaves_is_forgotten_at_once() -> None:
    async with running() as room:
        one, two = await room.join(), await room.join()
        member = (await one.hear(Welcome)).member
        await two.hear(Meet)
        one.say(Leave(reason="interrupted"))
        assert (await two.hear(Forget)).ids == (member,)
        assert room.server.session_state(one.session)["reason"] == "interrupted"


async def test_a_chunk_the_repository_cannot_read_is_made_known() -> None:
    async with running() as room:
        room.store.lose(room.manifest.digest(ChunkIndex(0)))
        one, two = await room.join(), await room.join()
        await one.hear(Assign)
        one.say(Failed(chunks=(0,), reason="damaged at the origin"))
        assert (await one.hear(Damaged)).chunk == (await two.hear(Damaged)).chunk == 0


async def test_a_disk_in_trouble_condemns_no_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    def locate(digest: Digest) -> StoredChunk:
        raise RepositoryTroubleError("pack 1 cannot be opened: Too many open files")

    async with running() as room:
        one, two = await room.join(), await room.join()
        await one.hear(Assign)
        await two.hear(Assign)
        monkeypatch.setattr(room.store, "locate", locate)
        one.say(Failed(chunks=(0,), reason="trouble at the origin"))
        two.say(Have(chunks=(2,)))
        assert 0 in (await two.hear(Assign)).chunks
        assert "Too many open files" in (await room.happens("disk_trouble"))["reason"]


async def test_a_chunk_that_can_be_read_is_given_to_somebody_else() -> None:
    async with running() as room:
        one, two = await room.join(), await room.join()
        await one.hear(Assign)
        await two.hear(Assign)
        one.say(Failed(chunks=(0,), reason="the lane broke"))
        two.say(Have(chunks=(2,)))
        assert 0 in (await two.hear(Assign)).chunks


async def test_a_peer_two_say_is_bad_is_put_out() -> None:
    async with running() as room:
        one, two, bad = await room.join(), await room.join(), await room.join()
        member = (await bad.hear(Welcome)).member
        for guest in (one, two):
            await guest.hear(Welcome)
            while member not in {peer.id for peer in (await guest.hear(Meet)).peers}:
                pass
            digest = room.manifest.digest(ChunkIndex(3))
            guest.say(BadChunk(peer=member, chunk=3, expected=digest, got=bytes(32)))
        assert (await one.hear(Banned)).ids == (member,)
        told, last = (await bad.hear_end())[-2:]
        assert told == Banned(ids=(member,))  # its own: it knows that another session makes no sense
        assert isinstance(last, Closing)
        assert not last.retry
        again = await room.enter(bad.session)
        again.say(announce(room.manifest.chunk_count))
        assert isinstance((await again.hear_end())[-1], Closing)
        assert "peer_banned" in {name for name, _ in room.events}


async def test_the_operator_sees_how_members_are() -> None:
    async with running() as room:
        session, _ = room.open()
        assert room.server.session_state(session) == {"mode": "peer", "state": "offered"}
        guest = await room.enter(session)
        guest.say(announce(room.manifest.chunk_count, held=[5], subnet="lab 3"))
        guest.say(HEALTH)
        guest.say(Need(chunks=(9,)))
        while 9 not in (await guest.hear(Assign)).chunks:
            pass
        state = room.server.session_state(session)
        assert (state["state"], state["subnet"], state["held_chunks"]) == ("taking", "lab 3", 1)
        assert (state["assigned_chunks"], state["neighbours"]) == (3, 0)
        assert state["bytes_from_origin"] == HEALTH.from_origin
        guest.say(Done())
        guest.say(Have(chunks=(9,)))
        counters = room.server.counters()
        assert (counters["clients"], counters["swarms"]) == (1, 1)
        assert counters["bytes_origin"] == HEALTH.from_origin
        assert counters["chunks_assigned"] == 3
        await guest.lane.close()
        await room.happens("lane_closed")
        assert room.server.session_state(session)["state"] == "away"


async def test_who_speaks_before_it_has_announced_itself_is_hung_up_on() -> None:
    async with running() as room:
        session, _ = room.open()
        guest = await room.enter(session)
        guest.say(Have(chunks=(0,)))
        assert "before an announcement" in (await guest.hear(Closing)).reason
        await guest.hear_end()


async def test_nothing_is_kept_of_a_session_that_is_over() -> None:
    async with running() as room:
        guest = await room.join()
        await guest.hear(Welcome)
        (swarm,) = room.server._swarms.values()
        assert list(swarm.directory._ids) == list(room.server._origin._assigned) == [guest.session]
        room.server.close_session(guest.session, "done")
        assert list(swarm.directory._ids) == list(room.server._origin._assigned) == []
