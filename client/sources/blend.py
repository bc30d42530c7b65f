"""Several lanes as one Incoming: what `client.proto.steering` decides is done here."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from client.proto.steering import Close, Open, Steering
from client.sources.lane import Lane
from core.arena import Arena
from core.contention import Contention
from core.quota import Quota
from core.wantmap import WantMap
from transports.base import Delivery, Incoming

__all__ = ["HELPER_SHARE", "Blend"]

TICK_S = 0.2
HELPER_SHARE = 4
"""A lane beside the main one has one in so many slots of memory."""


class Blend:
    """An `Incoming` over the lanes of one session. `start` first, `close` last; one loop.

    `fetch(name, share, arena)` opens a lane's transport. `on_failure(lane, alone)` is told that a lane failed, and
    returns what the session is to hear of it, if anything. `on_steered` is called when lanes may have changed.
    """

    def __init__(
        self,
        steering: Steering,
        *,
        arena: Arena,
        fetch: Callable[[str, WantMap, Arena], AbstractAsyncContextManager[Incoming]],
        on_failure: Callable[[Lane, bool], Exception | None],
        on_event: Callable[[str, Mapping[str, Any]], None],
        on_steered: Callable[[], None],
        want: WantMap,
        contention: Contention | None = None,
    ) -> None:
        """`contention` says whether this machine has anything to spare for others; without one it is looked at."""
        self._steering = steering
        self._arena = arena
        self._fetch = fetch
        self._on_failure = on_failure
        self._on_event = on_event
        self._on_steered = on_steered
        self._want = want
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[tuple[Lane, Delivery]] = deque()
        self._owners: dict[int, Lane] = {}
        self._news = asyncio.Event()
        self._ticker: asyncio.Task[None] | None = None
        self._failed: Exception | None = None
        self._contention = contention or Contention()

    async def start(self) -> None:
        """Return when the first lane is open. Raises what keeps every lane from opening."""
        self._steer()
        self._ticker = asyncio.create_task(self._tick())
        while self._failed is None and self._lanes and not any(lane.opened for lane in self._lanes.values()):
            self._news.clear()
            await self._news.wait()
            self._tend()
        if self._failed is not None:
            raise self._failed

    async def close(self) -> None:
        """Close every lane; every slot that no delivery holds goes back."""
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        lanes, self._lanes = list(self._lanes.values()), {}
        await asyncio.gather(*(lane.close() for lane in lanes))
        while self._ready:
            self._ready.popleft()[1].release()

    # ------------------------------------------------------------------ Incoming

    def __aiter__(self) -> Blend:
        return self

    async def __anext__(self) -> Delivery:
        while True:
            if self._ready:
                lane, delivery = self._ready.popleft()
                self._owners[id(delivery)] = lane
                return delivery
            self._tend()
            if self._ready:
                continue
            if self._failed is not None:
                raise self._failed
            if not self._lanes or not len(self._want):
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()

    def accept(self, delivery: Delivery) -> None:
        """See Incoming."""
        lane = self._owners.pop(id(delivery))
        if delivery.chunk not in self._want:  # an earlier copy may be under examination still
            self._steering.claims.discard(delivery.chunk)
            self._steering.handle_arrived(lane.name, time.monotonic())
        lane.accept(delivery)
        if not len(self._want):
            self._news.set()

    def reject(self, delivery: Delivery, reason: str) -> None:
        """See Incoming."""
        self._owners.pop(id(delivery)).reject(delivery, reason)

    # ------------------------------------------------------------------ lanes

    async def _tick(self) -> None:
        try:
            while True:
                await asyncio.sleep(TICK_S)
                self._tend()
                if self._failed is None:
                    self._steer()
                self._news.set()
        except Exception as error:  # a fault of ours: without the clock the session would wait for ever
            self._failed = self._failed or error
            self._news.set()

    def _tend(self) -> None:
        """Bury the lanes that have ended, and do what follows from it."""
        while ended := [lane for lane in self._lanes.values() if lane.ended]:
            for lane in ended:
                del self._lanes[lane.name]
                if lane.error is not None and self._failed is None:
                    self._failed = self._on_failure(lane, not self._lanes)
                self._steering.handle_ended(lane.name, time.monotonic())
            if self._failed is not None:
                return
            self._steer()

    def _steer(self) -> None:
        found = {name: lane.outlook() for name, lane in self._lanes.items()}
        outlooks = {name: outlook for name, outlook in found.items() if outlook is not None}
        self._steering.busy = self._contention.busy
        for act in self._steering.poll(time.monotonic(), outlooks):
            match act:
                case Open(name=name):
                    self._open(name)
                case Close(name=name, reason=reason):
                    if reason:
                        self._on_event("transport-resting", {"transport": name, "message": reason})
                    self._lanes[name].leave()
        self._divide()
        for lane in self._lanes.values():
            if len(lane.share):
                lane.wake()
        self._on_steered()

    def _open(self, name: str) -> None:
        share, quota = self._steering.claims.share(name), Quota(self._arena, self._arena.slots)
        self._lanes[name] = Lane(
            name,
            share=share,
            quota=quota,
            fetch=lambda: self._fetch(name, share, quota),
            on_delivery=self._handle_delivery,
            on_change=self._news.set,
            stands_by=self._steering.stands_by(name),
        )
        self._divide()

    def _divide(self) -> None:
        """Memory goes to the main lane, but for what the one beside it needs."""
        slots, roles = self._arena.slots, self._steering.roles
        beside = {name for name, role in roles.items() if role in ("helps", "leaves") and name in self._lanes}
        busy = {name for name in beside if len(self._lanes[name].share)}
        part = max(1, slots // HELPER_SHARE)
        for name, lane in self._lanes.items():
            limit = (part if name in busy else 1) if name in beside else max(1, slots - part * len(busy))
            if lane.quota.slots != limit:
                lane.quota.set_limit(limit)

    def _handle_delivery(self, lane: Lane, delivery: Delivery) -> None:
        self._ready.append((lane, delivery))
        self._news.set()
