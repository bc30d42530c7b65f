"""Members are kept, strangers make room, and nothing is left inside."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from transports.member.door import Door

pytestmark = pytest.mark.asyncio


class House:
    """A door for two, and connections that do nothing."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.door = Door(limit=2, counts=self.counts)
        self.turned_away: list[asyncio.Task[None]] = []

    async def arrive(self) -> asyncio.Task[None]:
        come = asyncio.Event()

        async def stay() -> None:
            task = asyncio.current_task()
            assert task is not None
            try:
                if not self.door.enter(task):
                    self.turned_away.append(task)
                    return
                come.set()
                await asyncio.Event().wait()
            finally:
                come.set()
                self.door.leave(task)

        task = asyncio.create_task(stay())
        await come.wait()
        return task


async def test_who_has_shown_nothing_for_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.callers.STRANGER_S", 0.0)
    house = House()
    member, stranger = await house.arrive(), await house.arrive()
    house.door.handle_proven(member)
    another = await house.arrive()
    await asyncio.wait([stranger])
    assert stranger.cancelled()
    assert not member.done()
    assert not another.done()
    assert house.counts == {"strangers_dropped": 1}
    await house.door.close()
    assert len(house.door) == 0


async def test_where_all_have_just_come_or_are_members_the_new_one_is_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core.callers.STRANGER_S", 1000.0)
    house = House()
    inside = [await house.arrive(), await house.arrive()]
    house.door.handle_proven(inside[0])
    late = await house.arrive()
    await asyncio.wait([late])
    assert house.turned_away == [late]
    assert house.counts == {"limit_lanes": 1}
    assert not any(task.done() for task in inside)
    monkeypatch.setattr("core.callers.STRANGER_S", 0.0)
    house.door.handle_proven(inside[1])
    await asyncio.wait([await house.arrive()])
    assert house.counts == {"limit_lanes": 2}
    inside[0].cancel()
    await asyncio.wait([inside[0]])
    assert not (await house.arrive()).done()
    await house.door.close()
