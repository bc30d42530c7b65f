"""A part of an arena: several receivers share one pool of buffers, and none takes them all."""

from __future__ import annotations

import asyncio
from collections import deque

from core.arena import Arena, Slot

__all__ = ["Quota"]


class Quota(Arena):
    """At most `limit` slots of `whole` at a time, for whoever is given this in place of an arena.

    The limit may change at any time. What is held beyond a lower one is not taken away: `excess` says how many slots
    their holder should give back. Same event loop as the arena.
    """

    def __init__(self, whole: Arena, limit: int) -> None:
        self.slot_bytes = whole.slot_bytes
        self._whole = whole
        self._limit = limit
        self._lent: dict[Slot, Slot] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def slots(self) -> int:  # type: ignore[override]  # an arena's never changes, a part of it may
        """How many there may be in use."""
        return self._limit

    @property
    def held(self) -> int:
        """How many are in use."""
        return len(self._lent)

    @property
    def excess(self) -> int:
        """How many more are in use than may be."""
        return max(0, len(self._lent) - self._limit)

    @property
    def free(self) -> int:
        """See Arena: what could be had now."""
        return max(0, min(self._whole.free, self._limit - len(self._lent)))

    def set_limit(self, limit: int) -> None:
        """Allow so many from now on."""
        self._limit = limit
        for _ in range(max(0, limit - len(self._lent))):
            self._wake_one()

    def try_acquire(self) -> Slot | None:
        """See Arena."""
        if len(self._lent) >= self._limit:
            return None
        inner = self._whole.try_acquire()
        return None if inner is None else self._lend(inner)

    async def acquire(self) -> Slot:
        """See Arena."""
        while True:
            while len(self._lent) >= self._limit:
                await self._wait()
            inner = await self._whole.acquire()
            if len(self._lent) < self._limit:
                return self._lend(inner)
            inner.release()

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake_one()
            raise

    def _lend(self, inner: Slot) -> Slot:
        slot = Slot(self, inner.view)
        slot._held = True
        self._lent[slot] = inner
        return slot

    def _give_back(self, slot: Slot) -> None:
        self._lent.pop(slot).release()
        if len(self._lent) < self._limit:
            self._wake_one()
