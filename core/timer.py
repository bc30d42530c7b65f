"""One timer for a machine whose deadline moves all the time, mostly to later: set anew only when it would be late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Timer"]


class Timer:
    """Calls `ring` on its loop, for one thread: that of the loop.

    A machine that hears something puts its deadline off with every packet. Cancelling a timer and making another each
    time costs more than one that rings too early now and then; so `ring` must look at the time itself, and ask again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        # uvloop's handle of a moment that has passed cannot say when it rings.
        self._rings_at = 0.0

    @property
    def is_set(self) -> bool:
        """Whether it will ring."""
        return self._handle is not None

    def ring_by(self, moment: float) -> None:
        """Ring at `moment` (seconds, the loop's clock), or earlier where it was set already; infinity asks nothing."""
        if moment == float("inf"):
            return
        if self._handle is not None:
            if self._rings_at <= moment:
                return
            self._handle.cancel()
        self._rings_at = moment
        self._handle = self._loop.call_at(moment, self._go_off)

    def cancel(self) -> None:
        """Do not ring; harmless when it is not set."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _go_off(self) -> None:
        self._handle = None
        self._ring()
