from __future__ import annotations

import asyncio

import pytest

from core.arena import Arena
from core.quota import Quota

pytestmark = pytest.mark.asyncio


def _arena(slots: int = 4) -> Arena:
    return Arena(slot_bytes=16, slots=slots)


async def test_a_part_gives_no_more_than_its_limit_and_its_slots_are_those_of_the_whole() -> None:
    whole = _arena()
    part = Quota(whole, 2)
    first, second = part.try_acquire(), part.try_acquire()
    assert first is not None
    assert second is not None
    assert part.try_acquire() is None
    assert (part.held, part.free, part.slots, part.slot_bytes) == (2, 0, 2, 16)
    assert whole.free == 2
    first.release()
    first.release()
    assert (whole.free, part.free) == (3, 1)


async def test_what_others_hold_of_the_whole_is_not_free_in_the_part() -> None:
    whole = _arena(2)
    part = Quota(whole, 2)
    other = await whole.acquire()
    assert part.free == 1
    assert part.try_acquire() is not None
    assert part.try_acquire() is None
    other.release()
    assert part.try_acquire() is not None


async def test_a_waiter_gets_the_slot_that_comes_back_and_one_that_a_higher_limit_allows() -> None:
    part = Quota(_arena(), 1)
    held = await part.acquire()
    waiting = [asyncio.ensure_future(part.acquire()) for _ in range(2)]
    await asyncio.sleep(0)
    held.release()
    first = await waiting[0]
    assert not waiting[1].done()
    part.set_limit(2)
    second = await waiting[1]
    assert part.held == 2
    first.release()
    second.release()
    assert part.held == 0


async def test_a_lower_limit_takes_nothing_away_but_says_what_is_too_much() -> None:
    whole = _arena()
    part = Quota(whole, 3)
    slots = [await part.acquire() for _ in range(3)]
    part.set_limit(1)
    assert (part.excess, part.free) == (2, 0)
    waiting = asyncio.ensure_future(part.acquire())
    await asyncio.sleep(0)
    slots[0].release()
    slots[1].release()
    await asyncio.sleep(0)
    assert not waiting.done()
    assert part.excess == 0
    slots[2].release()
    assert await waiting


async def test_a_waiter_that_was_cancelled_loses_no_slot() -> None:
    part = Quota(_arena(), 1)
    held = await part.acquire()
    lost, waiting = asyncio.ensure_future(part.acquire()), asyncio.ensure_future(part.acquire())
    await asyncio.sleep(0)
    held.release()
    lost.cancel()
    assert await waiting
    assert lost.cancelled()
