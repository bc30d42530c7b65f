"""A fixed pool of page-aligned buffers: the bound on memory between network, decoder and disk."""

from __future__ import annotations

import asyncio
import mmap
from collections import deque

__all__ = ["Arena", "Slot"]


class Slot:
    """One buffer of an arena. Whoever acquired it owns it until `release`; the view must not be kept after."""

    __slots__ = ("_arena", "_held", "view")

    def __init__(self, arena: Arena, view: memoryview) -> None:
        self._arena = arena
        self._held = False
        self.view = view

    def release(self) -> None:
        """Give the buffer back; harmless when repeated. Call on the arena's event loop only."""
        if self._held:
            self._held = False
            self._arena._give_back(self)


class Arena:
    """`slots` buffers of `slot_bytes` each in one anonymous mapping, page aligned (so usable with O_DIRECT).

    The slot given back last is handed out first: its memory is the likeliest to be in the processor's cache, and slots
    that are never needed are never touched. Not thread-safe: acquire and release on one event loop.
    `closed` waiters get CancelledError.
    """

    def __init__(self, *, slot_bytes: int, slots: int) -> None:
        if slot_bytes <= 0 or slots <= 0:
            raise ValueError("an arena needs at least one slot of at least one byte")
        self.slot_bytes = slot_bytes
        self.slots = slots
        stride = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        whole = memoryview(mmap.mmap(-1, stride * slots))
        self._free = deque(Slot(self, whole[n * stride : n * stride + slot_bytes]) for n in range(slots))
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> int:
        """Slots nobody holds: what a receiver may grant credit for."""
        return len(self._free)

    def try_acquire(self) -> Slot | None:
        """A free slot, or None at once."""
        if not self._free:
            return None
        slot = self._free.pop()
        slot._held = True
        return slot

    async def acquire(self) -> Slot:
        """A free slot, waiting for one if needed. Waiters are served in the order they came."""
        while (slot := self.try_acquire()) is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake_one()
                raise
        return slot

    def _give_back(self, slot: Slot) -> None:
        self._free.append(slot)
        self._wake_one()

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
