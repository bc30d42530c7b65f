"""How the chunks of a membership stand, looked up on the receiver's thread for those who decide on the loop."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np

from core.arena import Arena
from core.errors import BusyError
from core.quota import Quota
from transports.base import Outlook
from transports.multicast.lacking import Lacking
from transports.multicast.proto.received import Progress
from transports.multicast.proto.reception import Reception
from transports.multicast.receiver import CastReceiver

__all__ = ["Watch"]

LEAST_PACKETS = 50
"""A share of fewer packets says nothing."""


class Watch:
    """Looks now and then (`look`), answers at once (`outlook`). Use on the session's loop."""

    def __init__(self, receiver: CastReceiver, reception: Reception) -> None:
        self._receiver = receiver
        self._reception = reception
        self._progress = Progress()
        self._counted = (0, 0)
        self._loss = 0.0

    async def look(self, arena: Arena) -> None:
        """Ask the machine; take back memory that is beyond this path's part of the arena."""
        slots = arena.slots

        def look(machine: Reception, now: float) -> Progress:
            machine.slots = slots  # a part of an arena grows and shrinks
            return machine.progress()

        with contextlib.suppress(BusyError):  # the receiver ends, or is behind: what was seen last will do
            self._progress = await asyncio.wrap_future(self._receiver.call(look))
            for _ in range(arena.excess if isinstance(arena, Quota) else 0):
                if (slot := await self._receiver.take_back()) is None:
                    break
                slot.release()

    def outlook(self, lacking: Lacking) -> Outlook:
        """See Steerable."""
        progress = self._progress
        under_way = progress.arriving | lacking.open
        behind = np.flatnonzero(lacking.flags if progress.repeating else lacking.flags[: progress.position])
        self._count()
        status = self._reception.status
        return Outlook(
            under_way=under_way,
            last=frozenset(behind.tolist()) - under_way,
            loss=self._loss,
            pace_bytes_per_s=0.0 if status is None else float(status.pace_bytes_per_s),
            resting=progress.idle,
            repeating=progress.repeating,
        )

    def _count(self) -> None:
        tracker = self._reception.tracker
        span, lost = tracker.span - self._counted[0], tracker.lost - self._counted[1]
        if span >= LEAST_PACKETS:
            self._counted = (tracker.span, tracker.lost)
            self._loss = min(1.0, max(0.0, lost / span))
