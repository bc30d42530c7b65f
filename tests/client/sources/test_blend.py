from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from client.proto.paths import PathPolicy
from client.proto.picker import Facts, Way
from client.proto.steering import Steering
from client.sources.blend import HELPER_SHARE, Blend
from client.sources.failures import Failures
from core.arena import Arena
from core.contention import Contention
from core.errors import ConnectionFailedError, PathError
from core.wantmap import WantMap
from tests.client.sources.lanes import Puppet
from transports.base import Delivery, Incoming, Outlook

pytestmark = pytest.mark.asyncio

WAYS = (Way(name="cast", group=True), Way(name="swarm", peers=True), Way(name="plain"))
SLOTS = 8
NOWHERE = Path("/nowhere")
"""What is not there says nothing, and a machine that says nothing is idle: no helper is opened on a busy one, and these
tests are not about the machine they run on."""


class Scene:
    """A blend over puppets."""

    def __init__(self, chunks: int = 40) -> None:
        self.want = WantMap(chunks)
        self.arena = Arena(slot_bytes=16, slots=SLOTS)
        self.puppets: dict[str, Puppet] = {}
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.paths = PathPolicy(first="cast")
        self.steering = Steering(
            self.want,
            ways=WAYS,
            paths=self.paths,
            facts=Facts(sessions=3, near=3),
            auto=False,
            now=time.monotonic(),
        )
        failures = Failures(self.paths, on_event=self.note, on_session_over=lambda: None)
        self.blend = Blend(
            self.steering,
            arena=self.arena,
            fetch=self.open,
            on_failure=lambda lane, alone: failures.judge(
                lane.name,
                lane.failure,
                alone=alone,
                helps=lane.name == self.steering.helper,
                opened=lane.opened,
                offered=[way.name for way in WAYS],
            ),
            on_event=self.note,
            on_steered=lambda: None,
            want=self.want,
            contention=Contention(thread=NOWHERE, machine=NOWHERE),
        )

    def note(self, name: str, fields: Mapping[str, Any]) -> None:
        self.events.append((name, fields))

    def open(self, name: str, share: WantMap, arena: Arena) -> AbstractAsyncContextManager[Incoming]:
        puppet = self.puppets[name] = Puppet(name, share, arena)
        return puppet.fetch()

    async def take(self, count: int = 1) -> list[Delivery]:
        """The next deliveries, judged good."""
        found = []
        async with asyncio.timeout(20):
            for _ in range(count):
                delivery = await self.blend.__anext__()
                self.want.discard(delivery.chunk)
                self.blend.accept(delivery)
                delivery.release()
                found.append(delivery)
        return found

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.02)


@asynccontextmanager
async def _scene(chunks: int = 40) -> AsyncIterator[Scene]:
    scene = Scene(chunks + 1)
    await scene.blend.start()
    scene.puppets["cast"].bring(chunks)
    await scene.take()
    await scene.until(lambda: set(scene.puppets) == {"cast", "swarm"})
    scene.puppets["cast"].accepted.clear()
    try:
        yield scene
    finally:
        await scene.blend.close()
        assert all(puppet.closed for puppet in scene.puppets.values())
        assert scene.arena.free == SLOTS


async def test_two_lanes_feed_one_map_and_each_hears_of_its_own_chunks() -> None:
    async with _scene(4) as scene:
        scene.puppets["cast"].bring(2)
        assert [delivery.source for delivery in await scene.take()] == ["cast"]
        scene.puppets["cast"].look = Outlook(under_way=frozenset(), last=frozenset({1}), resting=True)
        await scene.until(lambda: len(scene.puppets["swarm"].share) == 1)
        scene.puppets["swarm"].bring(1)
        assert [delivery.source for delivery in await scene.take()] == ["swarm"]
        assert (scene.puppets["cast"].accepted, scene.puppets["swarm"].accepted) == ([2], [1])
        scene.puppets["cast"].bring(0, 3)
        await scene.take(2)
        with pytest.raises(StopAsyncIteration):
            await scene.blend.__anext__()


async def test_a_group_that_is_left_nothing_stands_by_and_gets_back_what_peers_do_not_bring() -> None:
    async with _scene(2) as scene:
        cast, swarm = scene.puppets["cast"], scene.puppets["swarm"]
        cast.bring(1)
        await scene.take()
        cast.look = Outlook(under_way=frozenset(), last=frozenset({0}), resting=True)
        await scene.until(lambda: 0 in swarm.share)
        waiting = asyncio.ensure_future(scene.take())
        swarm.look = Outlook(under_way=frozenset(), within_reach=frozenset())
        await scene.until(lambda: 0 in cast.share)
        assert scene.puppets["cast"] is cast
        assert not cast.closed
        cast.bring(0)
        assert [delivery.source for delivery in await waiting] == ["cast"]


async def test_a_lane_beside_has_a_part_of_the_memory_only_while_it_brings_something() -> None:
    async with _scene() as scene:
        cast, swarm = scene.puppets["cast"], scene.puppets["swarm"]
        assert (cast.arena.slots, swarm.arena.slots) == (SLOTS, 1)
        cast.look = Outlook(under_way=frozenset(), last=frozenset({0}), repeating=True)
        part = SLOTS // HELPER_SHARE
        await scene.until(lambda: (cast.arena.slots, swarm.arena.slots) == (SLOTS - part, part))


async def test_peers_carry_on_live_when_the_group_is_left() -> None:
    async with _scene() as scene:
        scene.puppets["cast"].bring(0)
        await scene.take()
        scene.puppets["cast"].end(PathError("loses too much", again_after_s=60.0))
        scene.puppets["swarm"].bring(1, 2)
        assert [delivery.source for delivery in await scene.take(2)] == ["swarm", "swarm"]
        assert scene.steering.roles == {"swarm": "carries"}
        assert len(scene.puppets["swarm"].share) == 37
        assert scene.events == [("transport-resting", {"transport": "cast", "message": "loses too much"})]


async def test_what_is_being_judged_when_its_lane_breaks_is_asked_of_nobody_else() -> None:
    async with _scene() as scene:
        scene.puppets["cast"].bring(5)
        async with asyncio.timeout(10):
            delivery = await scene.blend.__anext__()
        scene.puppets["cast"].end(PathError("gone"))
        scene.puppets["swarm"].bring(6)
        waiting = asyncio.ensure_future(scene.take())
        await scene.until(lambda: scene.puppets["cast"].closed)
        assert 5 not in scene.puppets["swarm"].share
        scene.want.discard(5)
        scene.blend.accept(delivery)
        delivery.release()
        await waiting
        await scene.until(lambda: len(scene.puppets["swarm"].share) == 38)


async def test_a_rejected_chunk_of_a_lane_that_broke_is_left_to_another() -> None:
    async with _scene() as scene:
        scene.puppets["cast"].bring(5)
        async with asyncio.timeout(10):
            delivery = await scene.blend.__anext__()
        scene.puppets["cast"].end(PathError("gone"))
        await scene.until(lambda: scene.puppets["cast"].closed)
        scene.blend.reject(delivery, "rubbish")
        delivery.release()
        scene.puppets["swarm"].bring(6)
        await scene.take()
        await scene.until(lambda: 5 in scene.puppets["swarm"].share)


async def test_a_broken_lane_is_opened_again_while_the_other_goes_on() -> None:
    async with _scene() as scene:
        first = scene.puppets["cast"]
        first.end(ConnectionFailedError("cut"))
        scene.puppets["swarm"].bring(1)
        await scene.take()
        waiting = asyncio.ensure_future(scene.blend.__anext__())
        await scene.until(lambda: scene.puppets["cast"] is not first)
        waiting.cancel()
        await scene.until(lambda: scene.steering.roles == {"cast": "main", "swarm": "helps"})


async def test_what_keeps_the_last_lane_from_going_on_is_the_sessions_to_hear() -> None:
    scene = Scene()
    scene.paths.handle_given_up("swarm", "-")
    scene.paths.handle_given_up("plain", "-")
    await scene.blend.start()
    scene.puppets["cast"].bring(0)
    scene.puppets["cast"].end(ConnectionFailedError("cut"))
    await scene.take()  # what came before stays good
    with pytest.raises(ConnectionFailedError, match="cut"):
        await scene.take()
    await scene.blend.close()


async def test_a_fault_of_the_clock_ends_the_session_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    await scene.blend.start()

    def faulty(*_: object) -> list[object]:
        raise KeyError("a fault of steering")

    monkeypatch.setattr(scene.steering, "poll", faulty)
    async with asyncio.timeout(20):
        with pytest.raises(KeyError, match="a fault of steering"):
            await scene.blend.__anext__()
    await scene.blend.close()
