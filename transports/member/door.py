"""The door of a port for member lanes: how many may be inside, and who goes when too many come."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from core.callers import Callers

__all__ = ["Door"]


class Door:
    """Tasks of connections, from the first byte to the last. Use on one loop.

    At the limit the connection that has shown nothing for longest makes room, so that no crowd that only connects keeps
    members out; where all have just come the new one is turned away. Both are counted in `counts`.
    """

    def __init__(self, *, limit: int, counts: Counter[str]) -> None:
        """At most `limit` connections, those that prove nothing yet included."""
        self._limit = limit
        self._counts = counts
        self._inside: set[asyncio.Task[None]] = set()
        self._strangers: Callers[asyncio.Task[None]] = Callers()

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, task: asyncio.Task[None]) -> bool:
        """A connection is served by `task`. False: there is no room. Either way `leave` follows."""
        now = time.monotonic()
        self._inside.add(task)
        if len(self._inside) > self._limit:
            stranger = self._strangers.poll_displaced(now=now)
            if stranger is None:
                self._counts["limit_lanes"] += 1
                return False
            self._counts["strangers_dropped"] += 1
            stranger.cancel()
        self._strangers.handle_connected(task, now=now)
        return True

    def handle_proven(self, task: asyncio.Task[None]) -> None:
        """It has proved a session: it makes room for nobody."""
        self._strangers.handle_known(task)

    def leave(self, task: asyncio.Task[None]) -> None:
        """It has ended; harmless when repeated."""
        self._inside.discard(task)
        self._strangers.handle_known(task)

    async def close(self) -> None:
        """End all of them."""
        tasks = list(self._inside)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
