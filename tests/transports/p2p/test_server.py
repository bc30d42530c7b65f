"""The server half over real loopback connections."""

from __future__ import annotations

import asyncio
import errno

import pytest

from core.arena import Arena
from core.errors import UsageError
from core.ids import ChunkIndex
from core.wantmap import WantMap
from tests.support.swarms import KEY, announce, running
from transports.base import ClientContext, Offer
from transports.conformance.sample import CHUNK_BYTES
from transports.p2p.proto.credentials import credential
from transports.p2p.proto.messages import Assign, Closing, Done, Have, Meet, Stop, Welcome
from transports.p2p.swarm import Swarm
from transports.unicast.client import UnicastClient

pytestmark = pytest.mark.asyncio


async def test_members_are_welcomed_meet_each_other_and_are_given_different_chunks() -> None:
    async with running() as room:
        first, second = await room.join(), await room.join()
        one, two = await first.hear(Welcome), await second.hear(Welcome)
        met = (await first.hear(Meet)).peers
        assert [(peer.id, peer.port, peer.host) for peer in met] == [(two.member, 40_000, "127.0.0.1")]
        assert met[0].credential == credential(two.listen_key, one.member)
        mine = next(message for message in first.heard if isinstance(message, Assign))
        theirs = await second.hear(Assign)
        assert mine.chunks == (0, 1)
        assert theirs.chunks == (2, 3)
        first.say(Have(chunks=(0,)))
        assert (await first.hear(Assign)).chunks == (4,)


async def test_chunks_are_taken_at_the_origin_port() -> None:
    async with running() as room:
        session, offer = room.open()
        guest = await room.enter(session)
        guest.say(announce(room.manifest.chunk_count))
        assigned = (await guest.hear(Assign)).chunks
        origin = Offer(transport="unicast", parameters={"port": offer.parameters["origin_port"]})
        client = UnicastClient(
            ClientContext(
                repository_host="127.0.0.1", interface=None, state_dir=None, on_event=lambda name, fields: None
            )
        )
        want = WantMap(room.manifest.chunk_count, full=False)
        for chunk in assigned:
            want.add(ChunkIndex(chunk))
        arena = Arena(slot_bytes=CHUNK_BYTES + 65536, slots=4)
        async with client.fetch(
            origin, session_id=session, key=KEY, manifest=room.manifest, want=want, arena=arena
        ) as incoming:
            async for delivery in incoming:
                want.discard(delivery.chunk)
                incoming.accept(delivery)
                delivery.release()
        assert not len(want)
        assert room.server.counters()["chunks_sent"] == len(assigned) > 0


async def test_when_nobody_lacks_anything_peers_may_go() -> None:
    async with running(chunks=2) as room:
        first, second = await room.join(), await room.join()
        first.say(Have(chunks=(0, 1)))
        first.say(Done())
        second.say(Have(chunks=(0, 1)))
        second.say(Done())
        await first.hear(Stop)
        await second.hear(Stop)


async def test_a_session_that_is_closed_takes_its_member_with_it() -> None:
    async with running() as room:
        guest = await room.join()
        await guest.hear(Welcome)
        assert room.server.session_state(guest.session)["state"] == "taking"
        room.server.close_session(guest.session, "done")
        heard = await guest.hear_end()
        assert heard[-1] == Closing(reason="done", retry=False)
        assert room.server.session_state(guest.session) == {}


async def test_a_stopping_repository_says_that_it_may_come_back() -> None:
    async with running() as room:
        guest = await room.join()
        await guest.hear(Welcome)
        await room.server.stop(grace_s=0.2)
        assert (await guest.hear_end())[-1] == Closing(reason="the repository stops", retry=True)


async def test_the_option_string_is_understood() -> None:
    async with running() as room:
        _, offer = room.open(options="seeder:10000")
        assert (offer.parameters["mode"], offer.parameters["seconds"]) == ("seeder", 10_000)
        _, offer = room.open()
        assert (offer.parameters["mode"], offer.parameters["seconds"]) == ("peer", 60)
        with pytest.raises(UsageError):
            room.open(options="boss:1")


async def test_a_swarm_that_cannot_be_looked_after_does_not_stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    again = asyncio.Event()

    async with running() as room:

        def fail(self: Swarm) -> None:
            if room.server.counters()["ticks_failed"]:
                again.set()
            raise OSError(errno.EMFILE, "too many open files")

        monkeypatch.setattr(Swarm, "tick", fail)
        room.open()
        async with asyncio.timeout(20):
            await again.wait()
