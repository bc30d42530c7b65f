"""A lane's transport that does what a test says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from core.arena import Arena
from core.ids import ChunkIndex
from core.wantmap import WantMap
from images.stores import Encoding
from transports.base import Delivery, Incoming, Outlook

__all__ = ["Puppet"]


class Puppet:
    """Delivers what is put into it, of its share only; ends or fails when told."""

    def __init__(self, name: str, share: WantMap, arena: Arena) -> None:
        self.name = name
        self.share = share
        self.arena = arena
        self.accepted: list[int] = []
        self.rejected: list[int] = []
        self.closed = False
        self.asked = 0
        self.look = Outlook(under_way=frozenset())
        self._todo: deque[int] = deque()
        self._end: Exception | None = None
        self._news = asyncio.Event()

    @asynccontextmanager
    async def fetch(self) -> AsyncIterator[Incoming]:
        if self._end is not None and not isinstance(self._end, StopAsyncIteration):
            raise self._end
        try:
            yield cast(Incoming, self)
        finally:
            self.closed = True

    def bring(self, *chunks: int) -> None:
        """Deliver these."""
        self._todo.extend(chunks)
        self._news.set()

    def end(self, error: Exception | None = None) -> None:
        """End, with `error` if there is one."""
        self._end = error or StopAsyncIteration()
        self._news.set()

    def outlook(self) -> Outlook:
        return self.look

    def accept(self, delivery: Delivery) -> None:
        self.accepted.append(delivery.chunk)

    def reject(self, delivery: Delivery, reason: str) -> None:
        self.rejected.append(delivery.chunk)

    async def __anext__(self) -> Delivery:
        self.asked += 1
        while not self._todo:
            if self._end is not None:
                raise self._end
            self._news.clear()
            await self._news.wait()
        slot = await self.arena.acquire()
        return Delivery(
            chunk=ChunkIndex(self._todo.popleft()),
            encoding=Encoding.RAW,
            frame=slot.view,
            source=self.name,
            release=slot.release,
        )
