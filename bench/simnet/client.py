"""One simulated client: a Reception, the memory it assembles in, and a disk of some speed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.simnet.clock import Clock
from bench.simnet.path import Path
from transports.multicast.proto.packets import Headers
from transports.multicast.proto.received import Ready
from transports.multicast.proto.reception import Reception
from transports.multicast.proto.silence import Alarm

__all__ = ["ClientSettings", "SimClient", "client_rng"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """What a client is like."""

    slots: int = 15
    """Chunks its memory holds: 64 MiB of 4 MiB chunks (client/budget.py)."""
    patience_slots: int = 0
    """What it has beside them when it is served last (transports/multicast/patience.py)."""
    disk_bytes_per_s: float = 0.0
    """0: as fast as it comes."""
    disk_stalls: tuple[tuple[float, float], ...] = ()
    """Times (from, to) in which the disk writes nothing."""


class SimClient:
    """Feeds one Reception from its path and sends its reports."""

    def __init__(
        self,
        *,
        number: int,
        reception: Reception,
        settings: ClientSettings,
        path: Path,
        clock: Clock,
        send_report: Callable[[bytes], None],
        on_done: Callable[[], None],
    ) -> None:
        self.number = number
        self.reception = reception
        self.path = path
        self.joined_at = clock.now
        self.done_at: float | None = None
        self.killed = False
        self.alarms: list[tuple[float, Alarm]] = []
        self.longest_gap_s = 0.0
        """Longest time without a symbol of use, from the join to the end."""
        self._settings = settings
        self._clock = clock
        self._send_report = send_report
        self._on_done = on_done
        self._disk_free_at = 0.0
        self._patient = False
        self._armed = float("inf")
        self._useful_at = clock.now
        for slot in range(settings.slots):
            reception.handle_slot(slot)
        self._arm()

    @property
    def active(self) -> bool:
        """It still takes part."""
        return not self.killed and self.done_at is None

    def handle_packets(self, headers: Headers, keep: NDArray[np.bool_]) -> None:
        """A batch of data packets, those of `keep` got here."""
        if not self.active:
            return
        now = self._clock.now
        placed = self.reception.handle_packets(headers.select(keep), now)
        if placed:
            self.longest_gap_s = max(self.longest_gap_s, now - self._useful_at)
            self._useful_at = now
        while (ready := self.reception.poll_ready()) is not None:
            self._write(ready)
        self._turn()

    def handle_control(self, packet: bytes) -> None:
        """A STATUS or PROBE got here."""
        if self.active:
            self.reception.handle_control(packet, self._clock.now)
            self._turn()

    def handle_lane(self, lane: str) -> None:
        """The sender serves it in another way."""
        late = lane == "late" and self._settings.patience_slots > 0
        first = self._settings.slots
        for slot in range(first, first + (self._settings.patience_slots if late and not self._patient else 0)):
            self.reception.handle_slot(slot)
        self._patient = self._patient or late
        self.reception.handle_patience(late)

    def kill(self) -> None:
        """It is gone, without a word."""
        self.killed = True

    def _write(self, ready: Ready) -> None:
        rate = self._settings.disk_bytes_per_s
        now = self._clock.now
        start = max(now, self._disk_free_at)
        for begin, end in self._settings.disk_stalls:
            if begin <= start < end:
                start = end
        self._disk_free_at = start + (ready.layout.stored_bytes / rate if rate else 0.0)
        if self._disk_free_at <= now:
            self._written(ready)
        else:
            self._clock.at(self._disk_free_at, lambda: self._written(ready))

    def _written(self, ready: Ready) -> None:
        if not self.active:
            return
        self.reception.handle_accepted(ready.chunk)
        self.reception.handle_slot(ready.slot)
        if self.reception.lacking == 0:
            self.done_at = self._clock.now
            self._on_done()
        else:
            self._arm()

    def _turn(self) -> None:
        """What a shell does after each input: timers, reports, alarms."""
        if not self.active:
            return
        now = self._clock.now
        if self.reception.poll_timer() <= now:
            self.reception.handle_timer(now)
            if (report := self.reception.poll_report(now)) is not None:
                self._send_report(report)
            while (alarm := self.reception.poll_alarm()) is not None:
                self.alarms.append((now, alarm))
        self._arm()

    def _arm(self) -> None:
        time = self.reception.poll_timer()
        if self.active and time < self._armed:
            self._armed = time
            self._clock.at(time, self._fire)

    def _fire(self) -> None:
        self._armed = float("inf")
        self._turn()


def client_rng(seed: int, number: int) -> random.Random:
    """The source of chance of one client's machine."""
    return random.Random(seed * 100_003 + number)
