"""Memory with which a member that is served last keeps what has holes in, until the others have what they lack.

A chunk that lost a packet holds its memory until it is repaired. Who loses much and is repaired last would soon have
no room for what comes; so it gets more, bounded by what the machine has to spare, and only as it is needed.
"""

from __future__ import annotations

from collections.abc import Callable

from core.arena import Arena, Slot
from core.memory import free_memory_bytes

__all__ = ["PATIENCE_BYTES_MAX", "PATIENCE_SHARE", "Patience"]

PATIENCE_BYTES_MAX = 2 << 30
PATIENCE_SHARE = 0.25
"""Of the memory that is free, or would be without what was given out."""
STEP_BYTES = 32 << 20
"""Given at a time: a tenth of a second of 1 Gbit/s, twice."""
FEW_SLOTS = 4
"""With fewer left, more are given …"""
FEW_OF_STEP = 0.5
"""… or with less than this part of what is given at a time: on a busy machine it is looked at, and taken, late."""


class Patience:
    """Gives out slots of `slot_bytes`. Use on the session's loop; slots come back by `Slot.release`, and are given out
    again; the memory goes with this object."""

    def __init__(
        self,
        slot_bytes: int,
        *,
        limit_bytes: int = PATIENCE_BYTES_MAX,
        free_bytes: Callable[[], int] = free_memory_bytes,
    ) -> None:
        """`free_bytes` says how much memory is free; it is asked whenever more is given."""
        self._slot_bytes = slot_bytes
        self._limit = limit_bytes
        self._free_bytes = free_bytes
        self._step = max(1, STEP_BYTES // slot_bytes)
        self._few = max(FEW_SLOTS, int(FEW_OF_STEP * self._step))
        self._pools: list[Arena] = []

    @property
    def given_bytes(self) -> int:
        """Memory set aside so far."""
        return sum(pool.slots for pool in self._pools) * self._slot_bytes

    def poll(self, *, free: int) -> list[Slot]:
        """More slots, if `free` are few: what came back of them first. Empty where there is enough, or no more."""
        if free >= self._few:
            return []
        if not any(pool.free for pool in self._pools) and self._may_grow():
            self._pools.append(Arena(slot_bytes=self._slot_bytes, slots=self._step))
        found: list[Slot] = []
        for pool in self._pools:
            while len(found) < self._step and (slot := pool.try_acquire()) is not None:
                found.append(slot)
        return found

    def lasts(self, *, free: int) -> bool:
        """With `free` slots left, and what there is here, there is room for what comes."""
        return free >= FEW_SLOTS or any(pool.free for pool in self._pools) or self._may_grow()

    def _may_grow(self) -> bool:
        used = self.given_bytes
        after = used + self._step * self._slot_bytes
        return after <= min(self._limit, PATIENCE_SHARE * (self._free_bytes() + used))
