"""The simulated server: a Cast, and the network card that hands batches of its packets to all paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.simnet.clock import Clock
from transports.multicast.proto.burst import Burst
from transports.multicast.proto.cast import Cast
from transports.multicast.proto.limits import HEADER_BYTES
from transports.multicast.proto.packets import Headers, parse_headers, write_headers

__all__ = ["Batch", "SimSender"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Packets sent one after the other since the last batch."""

    items: list[Headers | bytes]
    """Trains of data packets, and control packets, in the order of sending."""
    seconds: float
    """Time it took to send them."""


class SimSender:
    """Drives a Cast; `deliver` gets a batch at most every `batch_s` seconds (0: every train for itself)."""

    def __init__(
        self, cast: Cast, clock: Clock, *, cast_id: int, batch_s: float, deliver: Callable[[Batch], None]
    ) -> None:
        self.cast = cast
        self.reports_at: list[float] = []
        """When each report came in."""
        self._clock = clock
        self._cast_id = cast_id
        self._batch_s = batch_s
        self._deliver = deliver
        self._items: list[bytes | list[np.ndarray]] = []
        self._flushed_at = 0.0
        self._flushing = False
        self._armed = float("inf")

    def handle_report(self, data: bytes) -> None:
        """A report came in."""
        self.reports_at.append(self._clock.now)
        self.cast.handle_report(data, self._clock.now)
        self.turn()

    def turn(self) -> None:
        """Send what may be sent now, and come back in time."""
        now = self._clock.now
        while (burst := self.cast.poll_burst(now)) is not None:
            self._add(burst)
        while (control := self.cast.poll_control(now)) is not None:
            self._items.append(control.data)
        if self._items and not self._flushing:
            self._flushing = True
            if self._batch_s:
                self._clock.at(now + self._batch_s, self._flush)
            else:
                self._flush()
        time = self.cast.poll_timer()
        if time < self._armed:
            self._armed = time
            self._clock.at(time, self._fire)

    def _fire(self) -> None:
        self._armed = float("inf")
        self.turn()

    def _add(self, burst: Burst) -> None:
        packets = np.empty((len(burst), HEADER_BYTES), dtype=np.uint8)
        write_headers(
            packets,
            cast_id=self._cast_id,
            first_sequence=burst.first_sequence,
            chunk=burst.chunk,
            blocks=burst.blocks,
            symbols=burst.symbols,
            stored_bytes=burst.layout.stored_bytes,
            encoding=burst.encoding,
        )
        if self._items and isinstance(self._items[-1], list):
            self._items[-1].append(packets)
        else:
            self._items.append([packets])

    def _flush(self) -> None:
        self._flushing = False
        items: list[Headers | bytes] = [
            item if isinstance(item, bytes) else parse_headers(np.concatenate(item)) for item in self._items
        ]
        self._items.clear()
        seconds, self._flushed_at = self._clock.now - self._flushed_at, self._clock.now
        self._deliver(Batch(items=items, seconds=seconds))
