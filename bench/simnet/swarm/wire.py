"""Links in virtual time: a host's sending side that serves its flows in turn, and ports that pass on what comes first.

Bytes move in trains. A flow has a few of them on the way at most, as a TCP connection has its window: what a busy
receiver does not take is sent to others meanwhile, and no link is idle while somebody may use it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from bench.simnet.clock import Clock

__all__ = ["WINDOW_TRAINS", "Flow", "Port", "Wire"]

WINDOW_TRAINS = 2
"""Of one flow, sent and not arrived."""


class Port:
    """Passes on what comes, first in, first out, at a rate. It drops nothing: windows bound what waits here."""

    def __init__(self, rate_bytes_per_s: float) -> None:
        self.rate = rate_bytes_per_s
        self.bytes = 0
        """That passed, or wait."""
        self._free_at = 0.0

    def through(self, count: int, at: float) -> float:
        """When `count` bytes that come at `at` have passed."""
        self.bytes += count
        self._free_at = max(self._free_at, at) + count / self.rate
        return self._free_at


class Flow:
    """One chunk on its way. `arrive` is told of each train that came; `sent` once, when the last has left the host."""

    __slots__ = ("arrive", "dropped", "left", "on_way", "path", "sent", "waits")

    def __init__(
        self, count: int, path: Sequence[Port], *, arrive: Callable[[int], None], sent: Callable[[], None]
    ) -> None:
        self.left = count
        """Bytes the sender still has."""
        self.path = path
        self.arrive = arrive
        self.sent = sent
        self.on_way = 0
        """Trains sent and not arrived."""
        self.waits = False
        """It is in its wire's queue, or on the wire."""
        self.dropped = False

    def drop(self) -> None:
        """Neither end is there any more, or wants it: nothing of it is heard again."""
        self.dropped = True


class Wire:
    """A host's sending side."""

    def __init__(self, clock: Clock, rate_bytes_per_s: float, *, train_bytes: int, delay_s: float) -> None:
        self.rate = rate_bytes_per_s
        self.bytes = 0
        """That left."""
        self._clock = clock
        self._train_bytes = train_bytes
        self._delay_s = delay_s
        self._ready: deque[Flow] = deque()
        """Flows that may send another train."""
        self._busy = False

    def send(self, flow: Flow) -> None:
        """Begin."""
        self._queue(flow)
        self._go_on()

    def stop(self) -> None:
        """The host is dead."""
        for flow in self._ready:
            flow.drop()
        self._ready.clear()

    def _go_on(self) -> None:
        while not self._busy and self._ready:
            flow = self._ready.popleft()
            if flow.dropped:
                continue
            count = min(flow.left, self._train_bytes)
            flow.left -= count
            flow.on_way += 1
            self._busy = True
            self.bytes += count
            self._clock.at(self._clock.now + count / self.rate, partial(self._left, flow, count))

    def _left(self, flow: Flow, count: int) -> None:
        self._busy = False
        if not flow.dropped:
            self._hop(flow, count, 0, self._clock.now + self._delay_s)
            if not flow.left:
                flow.sent()
            else:
                flow.waits = False
                self._queue(flow)
        self._go_on()

    def _queue(self, flow: Flow) -> None:
        if flow.left and not flow.waits and flow.on_way < WINDOW_TRAINS:
            flow.waits = True
            self._ready.append(flow)

    def _hop(self, flow: Flow, count: int, place: int, at: float) -> None:
        port = flow.path[place]
        self._clock.at(port.through(count, at), partial(self._passed, flow, count, place + 1))

    def _passed(self, flow: Flow, count: int, place: int) -> None:
        if flow.dropped:
            return
        if place < len(flow.path):
            self._hop(flow, count, place, self._clock.now)
            return
        flow.on_way -= 1
        self._queue(flow)
        self._go_on()
        flow.arrive(count)
