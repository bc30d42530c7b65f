"""Being a member before the rest of the program is there: what the origin sent meanwhile is not sent again."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from core.arena import Arena
from core.errors import AuthenticationError, ProtocolError
from images.manifest import Manifest
from tests.support.swarms import KEY, Room, running
from tests.support.takers import Taker
from transports.base import Early
from transports.conformance.sample import CHUNK_BYTES
from transports.control import ImageInfo, OfferBody, SessionOpened
from transports.p2p.client import SwarmClient
from transports.p2p.early import SLACK_BYTES, EarlyMember, listen
from transports.p2p.proto.limits import ASSIGNED_AHEAD

pytestmark = pytest.mark.asyncio

CHUNKS = 40


def _opened(taker: Taker, *, key: bytes = KEY) -> SessionOpened:
    manifest: Manifest = taker.room.manifest
    image = ImageInfo(
        name=manifest.name,
        version=manifest.version,
        root=manifest.root.hex(),
        size=manifest.size,
        data_bytes=manifest.data_bytes,
        chunk_size=manifest.chunk_size,
        chunks=manifest.chunk_count,
        stored_bytes=taker.room.stored_bytes,
        fs_type="",
        created="",
    )
    offer = OfferBody(transport="p2p", parameters=dict(taker.offer.parameters))
    return SessionOpened(session=taker.session, key=key, image=image, offers=[offer])


async def _listen(taker: Taker, *, key: bytes = KEY, **parameters: Any) -> EarlyMember:
    offered = {**taker.offer.parameters, **parameters}
    session = msgspec.json.encode(_opened(taker, key=key))
    return await asyncio.to_thread(listen, offered, interface=None, session=session, host="127.0.0.1")


def _use(taker: Taker, early: Early) -> None:
    """The client half finds it."""
    taker.arena = Arena(slot_bytes=CHUNK_BYTES + SLACK_BYTES, slots=12)
    given = {"p2p": early}
    taker.client = SwarmClient(
        msgspec.structs.replace(taker.client._context, take_early=lambda transport: given.pop(transport, None))
    )


async def _until_sent(room: Room, count: int) -> None:
    async with asyncio.timeout(10):
        while room.server.counters()["chunks_sent"] < count:  # noqa: ASYNC110 (the lane thread tells nobody)
            await asyncio.sleep(0.01)


async def test_what_the_origin_sent_before_the_client_was_there_counts() -> None:
    async with running(chunks=CHUNKS) as room:
        taker = Taker(room)
        early = await _listen(taker)
        await _until_sent(room, ASSIGNED_AHEAD)
        _use(taker, early)
        await taker.start().done()
        assert taker.sources == {"repository": CHUNKS}
        assert room.server.counters()["chunks_sent"] == CHUNKS
        assert room.server.counters()["member_lanes_opened"] == 1
        assert taker.arena.free == taker.arena.slots
        assert early.member.fileno() == early.origin.fileno() == -1


async def test_two_that_were_early_give_to_each_other() -> None:
    async with running(chunks=CHUNKS) as room:
        takers = [Taker(room), Taker(room)]
        for taker in takers:
            _use(taker, await _listen(taker))
        for taker in takers:
            taker.start()
        await asyncio.gather(*[taker.done() for taker in takers])
        assert all(len(taker.sources) == 2 for taker in takers)
        assert all(sum(taker.sources.values()) == CHUNKS for taker in takers)


async def test_it_gives_up_what_does_not_fit_and_enters_as_always() -> None:
    async with running(chunks=CHUNKS) as room:
        resumed, other = Taker(room), Taker(room)
        resumed.want.discard(7)
        for taker, early in ((resumed, await _listen(resumed)), (other, await _listen(Taker(room)))):
            _use(taker, early)
            await taker.start().done()
            assert sum(taker.sources.values()) >= CHUNKS - 1
            assert early.origin.fileno() == -1


async def test_an_image_without_a_chunk_leaves_no_socket_open() -> None:
    async with running(chunks=0) as room:
        taker = Taker(room)
        early = await _listen(taker)
        _use(taker, early)
        await taker.start().done()
        assert early.member.fileno() == early.origin.fileno() == -1


async def test_a_leecher_listens_for_nobody() -> None:
    async with running(chunks=CHUNKS) as room:
        taker = Taker(room, options="leecher")
        early = await _listen(taker)
        assert early.listener is None
        _use(taker, early)
        await taker.start().done()


async def test_one_that_is_never_used_leaves_nothing_behind() -> None:
    async with running(chunks=CHUNKS) as room:
        early = await _listen(Taker(room))
        early.close()
        early.close()
        await room.happens("lane_closed")
        assert early.listener is not None
        assert early.listener.fileno() == -1
        await Taker(room).start().done()


async def test_in_a_full_subnet_it_waits_for_an_assignment_only_a_moment() -> None:
    async with running(chunks=CHUNKS, streams=1) as room:
        first, second = Taker(room), Taker(room)
        early = await _listen(first), await _listen(second)
        assert early[0].machine.under_way
        assert not early[1].machine.under_way
        for taker, mine in zip((first, second), early, strict=True):
            _use(taker, mine)
            taker.start()
        await asyncio.gather(first.done(), second.done())


async def test_a_wrong_key_and_an_offer_without_sense_are_errors() -> None:
    async with running(chunks=CHUNKS) as room:
        taker = Taker(room)
        with pytest.raises(AuthenticationError):
            await _listen(taker, key=bytes(32))
        with pytest.raises(ProtocolError):
            await _listen(taker, port=0)
        with pytest.raises(OSError, match="refused"):
            await _listen(taker, port=1)
