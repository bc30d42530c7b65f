"""What happens in the daemon, told to whoever listens: bounded queues, losses counted, publishers never wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import BusyError

__all__ = ["Event", "EventHub", "Subscription"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. `fields` holds JSON values only."""

    number: int
    """Rises by one with each event of this daemon."""
    name: str
    """`session_opened`, `capture_committed`, …"""
    time: float
    """Seconds since 1970."""
    fields: Mapping[str, Any]


class Subscription:
    """One reader's queue. `dropped` counts what it was too slow for since the last `take`."""

    def __init__(self, *, limit: int) -> None:
        self._queue: deque[Event] = deque(maxlen=limit)
        self._ready = asyncio.Event()
        self.dropped = 0
        self._ended = False

    def offer(self, event: Event) -> bool:
        """Queue an event; False if the oldest had to go for it."""
        full = len(self._queue) == self._queue.maxlen
        self.dropped += full
        self._queue.append(event)
        self._ready.set()
        return not full

    def end(self) -> None:
        """Say that no further event will come."""
        self._ended = True
        self._ready.set()

    @property
    def finished(self) -> bool:
        """Whether everything was taken and nothing will come any more."""
        return self._ended and not self._queue

    async def take(self) -> tuple[int, list[Event]]:
        """Wait for events or the end; returns how many were lost before them, and all that are queued."""
        await self._ready.wait()
        self._ready.clear()
        dropped, self.dropped = self.dropped, 0
        events = list(self._queue)
        self._queue.clear()
        return dropped, events


class EventHub:
    """Fans events out. Use on the event loop only."""

    def __init__(self, *, subscribers: int, queue: int) -> None:
        self._limit = subscribers
        self._queue = queue
        self._subscriptions: set[Subscription] = set()
        self._number = 0
        self._ended = False
        self.dropped = 0
        """Events lost to slow readers, ever."""
        self.refused = 0
        """Readers refused because the limit was reached."""

    def publish(self, name: str, *, time: float, fields: Mapping[str, Any]) -> Event:
        """Tell every reader."""
        self._number += 1
        event = Event(number=self._number, name=name, time=time, fields=fields)
        for subscription in self._subscriptions:
            self.dropped += not subscription.offer(event)
        return event

    def end(self) -> None:
        """Let every reader go once it has what is queued."""
        self._ended = True
        for subscription in self._subscriptions:
            subscription.end()

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Listen from now on. BusyError when there are too many readers."""
        if len(self._subscriptions) >= self._limit:
            self.refused += 1
            raise BusyError(f"{self._limit} readers follow the event stream, which is the limit")
        subscription = Subscription(limit=self._queue)
        self._subscriptions.add(subscription)
        if self._ended:
            subscription.end()
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
