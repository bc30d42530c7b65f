"""Bytes of a peer go straight into slots, and every slot comes back."""

from __future__ import annotations

import asyncio

import pytest

from core.arena import Arena
from core.errors import ProtocolError
from tests.transports.p2p.test_neighbourhood import ME, WAIT_S, street
from transports.conformance.sample import CHUNK_BYTES
from transports.p2p.source_lane import SourceLane
from transports.unicast.proto.answers import Event, Held, Received, Refused

pytestmark = pytest.mark.asyncio


async def _next(lane: SourceLane) -> Event:
    async with asyncio.timeout(WAIT_S):
        while (event := lane.poll_event()) is None:  # noqa: ASYNC110 - the owner of the lane is told, not this
            await asyncio.sleep(0.01)
    return event


async def test_chunks_come_into_the_slots_they_were_asked_with() -> None:
    arena = Arena(slot_bytes=CHUNK_BYTES + 4096, slots=2)
    async with street() as here:
        here.neighbours.meet([here.address()])
        lane = await here.open()
        lane.ask_map()
        lane.flush()
        assert isinstance(await _next(lane), Held)
        lane.ask(0, arena.try_acquire())
        lane.ask(1, arena.try_acquire())
        lane.flush()
        events = [await _next(lane), await _next(lane)]
        (received,) = [event for event in events if isinstance(event, Received)]
        (refused,) = [event for event in events if isinstance(event, Refused)]
        assert (received.chunk, refused.chunk) == (0, 1)
        assert lane.chunks == 1
        assert lane.signs == received.length, "the map and the refusal are none"
        received.slot.release()
        lane.close()
        lane.close()
        assert arena.free == 2
        assert lane.ended.is_set()


async def test_a_lane_that_is_closed_in_the_middle_gives_its_slots_back() -> None:
    arena = Arena(slot_bytes=CHUNK_BYTES + 4096, slots=2)
    async with street() as here:
        here.neighbours.meet([here.address()])
        lane = await here.open()
        lane.ask(0, arena.try_acquire())
        lane.ask(2, arena.try_acquire())
        assert arena.free == 0
        here.neighbours.forget([ME])
        assert lane.closed
        assert arena.free == 2


async def test_what_the_machine_cannot_know_to_be_wrong_ends_the_lane_all_the_same() -> None:
    async with street() as here:
        here.neighbours.meet([here.address()])
        lane = await here.open()
        assert lane.failed is None
        lane.handle_violation(ProtocolError("a map of another image"))
        lane.handle_violation(ProtocolError("and more"))
        assert str(lane.failed) == "a map of another image"
