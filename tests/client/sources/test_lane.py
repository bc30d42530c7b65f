from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from client.sources.lane import Lane
from core.arena import Arena
from core.errors import ConnectionFailedError
from core.quota import Quota
from core.wantmap import WantMap
from tests.client.sources.lanes import Puppet
from transports.base import Delivery, Incoming

pytestmark = pytest.mark.asyncio


class Scene:
    """One lane and what it told."""

    def __init__(self, *, share: WantMap | None = None, stands_by: bool = False) -> None:
        self.share = WantMap(8) if share is None else share
        self.quota = Quota(Arena(slot_bytes=16, slots=4), 4)
        self.puppet = Puppet("p", self.share, self.quota)
        self.came: list[Delivery] = []
        self._news = asyncio.Event()
        self.lane = Lane(
            "p",
            share=self.share,
            quota=self.quota,
            fetch=self.puppet.fetch,
            on_delivery=self._note,
            on_change=self._news.set,
            stands_by=stands_by,
        )

    def _note(self, lane: Lane, delivery: Delivery) -> None:
        assert lane is self.lane
        self.came.append(delivery)
        self._news.set()

    async def until(self, what: str, count: int = 1) -> None:
        async with asyncio.timeout(10):
            while not (len(self.came) >= count if what == "came" else getattr(self.lane, what)):
                self._news.clear()
                await self._news.wait()


async def test_it_delivers_and_passes_judgements_back() -> None:
    scene = Scene()
    scene.puppet.bring(3, 4)
    await scene.until("came", 2)
    assert [delivery.chunk for delivery in scene.came] == [3, 4]
    scene.lane.accept(scene.came[0])
    scene.lane.reject(scene.came[1], "rubbish")
    assert (scene.puppet.accepted, scene.puppet.rejected) == ([3], [4])
    assert scene.lane.outlook() is scene.puppet.look
    await scene.lane.close()
    assert scene.puppet.closed
    assert scene.lane.outlook() is None


async def test_it_has_ended_only_when_everything_was_judged() -> None:
    scene = Scene()
    scene.puppet.bring(3)
    await scene.until("came")
    scene.puppet.end(ConnectionFailedError("cut"))
    async with asyncio.timeout(10):
        while not scene.puppet.closed:  # noqa: ASYNC110 - closing has no event
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not scene.lane.ended
    scene.lane.accept(scene.came[0])
    await scene.until("ended")
    assert isinstance(scene.lane.error, ConnectionFailedError)
    assert scene.puppet.accepted == []  # the transport has gone: nobody to tell


async def test_one_that_stands_by_asks_for_nothing_until_its_share_grows() -> None:
    scene = Scene(share=WantMap(8, full=False), stands_by=True)
    await scene.until("opened")
    for _ in range(10):
        await asyncio.sleep(0)
    assert scene.puppet.asked == 0
    scene.share.add(2)
    scene.lane.wake()
    scene.puppet.bring(2)
    await scene.until("came")
    assert not scene.lane.ended
    await scene.lane.close()


@pytest.mark.parametrize("late", [False, True])
async def test_leaving_closes_the_transport_at_any_time(late: bool) -> None:
    scene = Scene()
    if late:
        await scene.until("opened")
    scene.lane.leave()
    await scene.until("ended")
    assert scene.lane.error is None
    assert scene.puppet.closed == late  # before its first step there is nothing to close


async def test_closing_one_that_leaves_does_not_cut_its_leaving_short() -> None:
    leaving, may_end, left = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def fetch() -> AsyncIterator[Incoming]:
        async with Puppet("p", share, quota).fetch() as incoming:
            try:
                yield incoming
            finally:
                leaving.set()
                await may_end.wait()  # says goodbye, gives memory back
                left.set()

    share, quota, opened = WantMap(8), Quota(Arena(slot_bytes=16, slots=4), 4), asyncio.Event()
    lane = Lane(
        "p",
        share=share,
        quota=quota,
        fetch=fetch,
        on_delivery=lambda lane, delivery: None,
        on_change=opened.set,
        stands_by=False,
    )
    async with asyncio.timeout(10):
        await opened.wait()
        lane.leave()
        await leaving.wait()
        closing = asyncio.ensure_future(lane.close())
        await asyncio.sleep(0)
        may_end.set()
        await closing
    assert left.is_set()


@pytest.mark.parametrize("closes", [False, True])
async def test_a_transport_that_swallows_the_cancellation_while_it_connects_ends_all_the_same(closes: bool) -> None:
    connecting, closed = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def fetch() -> AsyncIterator[Incoming]:
        connecting.set()
        with suppress(asyncio.CancelledError):  # as a race of connections does while it awaits the one that lost
            await asyncio.Event().wait()
        try:
            async with Puppet("p", share, quota).fetch() as incoming:
                yield incoming
        finally:
            closed.set()

    share, quota = WantMap(8), Quota(Arena(slot_bytes=16, slots=4), 4)
    ended = asyncio.Event()
    lane = Lane(
        "p",
        share=share,
        quota=quota,
        fetch=fetch,
        on_delivery=lambda lane, delivery: None,
        on_change=ended.set,
        stands_by=False,
    )
    async with asyncio.timeout(10):
        await connecting.wait()
        if closes:
            await lane.close()
        else:
            lane.leave()
            await ended.wait()
    assert lane.ended
    assert closed.is_set()


async def test_a_transport_that_cannot_be_opened_is_the_lanes_error() -> None:
    scene = Scene()
    scene.puppet.end(ConnectionFailedError("no route"))
    await scene.until("ended")
    assert not scene.lane.opened
    assert str(scene.lane.error) == "no route"
    assert scene.lane.outlook() is None
