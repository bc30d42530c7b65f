"""An arena never has more than its slots out, serves waiters in order, and loses none to a cancelled one."""

from __future__ import annotations

import asyncio
import ctypes
import mmap

import pytest

from core.arena import Arena, Slot


def test_slots_are_page_aligned_writable_and_of_the_size_asked_for() -> None:
    arena = Arena(slot_bytes=5000, slots=3)
    slots = [arena.try_acquire() for _ in range(3)]
    for number, slot in enumerate(slots):
        assert slot is not None
        assert len(slot.view) == 5000
        assert ctypes.addressof(ctypes.c_char.from_buffer(slot.view)) % mmap.PAGESIZE == 0
        slot.view[:] = bytes([number]) * 5000
    assert [slot.view[4999] for slot in slots if slot] == [0, 1, 2]


def test_an_empty_arena_gives_none_and_a_release_gives_it_back_once() -> None:
    arena = Arena(slot_bytes=1, slots=1)
    slot = arena.try_acquire()
    assert slot is not None
    assert arena.try_acquire() is None
    slot.release()
    slot.release()
    assert arena.free == 1


@pytest.mark.asyncio
async def test_waiters_are_served_in_the_order_they_came() -> None:
    arena = Arena(slot_bytes=1, slots=1)
    first = await arena.acquire()
    served: list[int] = []

    async def take(number: int) -> None:
        slot = await arena.acquire()
        served.append(number)
        slot.release()

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(take(number))
        await asyncio.sleep(0)
        first.release()
    assert served == [0, 1, 2, 3]


@pytest.mark.asyncio
async def test_a_waiter_cancelled_as_it_is_served_passes_the_slot_on() -> None:
    arena = Arena(slot_bytes=1, slots=1)
    held = await arena.acquire()
    loser = asyncio.ensure_future(arena.acquire())
    winner: asyncio.Future[Slot] = asyncio.ensure_future(arena.acquire())
    await asyncio.sleep(0)
    held.release()
    loser.cancel()
    assert (await winner).view is held.view
    assert loser.cancelled() or (await asyncio.gather(loser, return_exceptions=True))


@pytest.mark.parametrize(("slot_bytes", "slots"), [(0, 1), (1, 0), (-1, 1)])
def test_an_arena_without_room_is_refused(slot_bytes: int, slots: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Arena(slot_bytes=slot_bytes, slots=slots)
