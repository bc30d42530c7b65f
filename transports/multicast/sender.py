"""The thread of a cast: the clock, the socket and the disk around the machine `proto.cast.Cast`."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from core import precedence
from core.errors import ChunkError, OgcastError, RepositoryTroubleError
from transports.multicast.frames import AHEAD_MAX, Frames
from transports.multicast.mailbox import Mailbox
from transports.multicast.proto.burst import Burst
from transports.multicast.proto.cast import Cast
from transports.multicast.proto.precedence import Precedence
from transports.multicast.trains import TrainBuilder
from transports.multicast.udp.group import explain
from transports.multicast.udp.outgoing import REPORT_MAX_BYTES, GroupSender

__all__ = ["CastSender", "SenderCounters"]

REPORTS_PER_TURN = 256
"""Reports taken between two trains: what a thousand members send in a quarter of a second."""
WAIT_MAX_S = 1.0
SHORT_WAIT_S = 0.002
"""Below this the thread sleeps by the clock, which is exact to microseconds; poll counts in milliseconds."""
LEAST_WAIT_S = 0.001
"""A wake-up costs as much as a train: above 500 Mbit/s two or three trains leave together, which at these speeds a
switch holds; the bucket sees to it that no more do. What is due sooner than this leaves with what is due now."""
TROUBLE_PAUSE_S = 0.05
"""Between two attempts while the interface is down."""
READ_ATTEMPTS = 20
"""Trains in a row that trouble of the disk may keep from being sent, a pause after each, before their chunk counts as
one that cannot be read: what passes within a second is mended as any loss is."""
FAREWELLS = 3
"""STATUS packets that say the cast ends; a member that misses them all hears it on its lane."""

_Result = TypeVar("_Result")


@dataclass(slots=True)
class SenderCounters:
    """Running totals of the thread, beside those of the machine and the socket."""

    send_errors: int = 0
    """Trains the interface refused."""
    read_errors: int = 0
    """Trains not sent because the store could not give their chunk."""
    crashes: int = 0
    """1 if the thread ended because of a fault of ours."""


class CastSender:
    """Runs one cast until `stop`. The machine, the socket and the frames belong to the thread from `start` on.

    Others reach the machine by `call` alone. `on_event` is called on the thread, with (event, fields): `verdict`
    (member, lane, reason), `sending_failed` and `sending_again` (reason), `chunk_unreadable` (chunk, reason),
    `cast_exhausted`, `cast_crashed` (reason).
    """

    def __init__(
        self,
        cast: Cast,
        *,
        socket: GroupSender,
        frames: Frames,
        trains: TrainBuilder,
        on_event: Callable[[str, Mapping[str, Any]], None],
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._cast = cast
        self._socket = socket
        self._frames = frames
        self._trains = trains
        self._on_event = on_event
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._mailbox: Mailbox[Cast] = Mailbox()
        self._stop = threading.Event()
        self._trouble: str | None = None
        self._unreadable: set[int] = set()
        self._read_failures = 0
        self._ahead_of: int | None = None
        self._report = memoryview(bytearray(REPORT_MAX_BYTES))
        self._poll = select.poll()
        self._precedence = Precedence(0.0)
        self._goes_first = False
        self._quiet_until = float("-inf")
        """Until then the machine has nothing, unless it hears of something; -inf: ask."""
        self._thread = threading.Thread(target=self._run, name="multicast-send", daemon=True)
        self.counters = SenderCounters()

    def start(self) -> None:
        """Begin to send."""
        self._poll.register(self._mailbox.fileno(), select.POLLIN)
        self._poll.register(self._socket.fileno(), select.POLLIN)
        self._thread.start()

    @property
    def running(self) -> bool:
        """False once the thread has ended, by `stop` or by a fault."""
        return self._thread.is_alive()

    @property
    def packets_lost(self) -> int:
        """Packets the kernel had no room for; they are mended like any loss."""
        return self._socket.counters.packets_lost

    @property
    def calls_refused(self) -> int:
        """Calls that found too many others waiting."""
        return self._mailbox.refused

    def call(self, work: Callable[[Cast, float], _Result]) -> Future[_Result]:
        """Run `work(cast, now)` on the thread, between two trains. See Mailbox.call."""
        return self._mailbox.call(work)

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Say goodbye to the group, end the thread, close socket and frames. Blocks; True if the thread ended in time.

        Harmless when repeated, and before `start`.
        """
        self._stop.set()
        self._mailbox.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        self._close()
        return True

    def _run(self) -> None:
        self._precedence = Precedence(self._clock())
        self._goes_first = precedence.take()
        try:
            while not self._stop.is_set():
                self._turn()
                if self._cast.exhausted:
                    self._on_event("cast_exhausted", {})
                    break
            self._say_goodbye()
        except Exception as error:
            self.counters.crashes += 1
            self._on_event("cast_crashed", {"reason": f"{type(error).__name__}: {error}"})
        finally:
            self._close()

    def _turn(self) -> None:
        now = self._clock()
        heard = self._mailbox.run(self._cast, now) + self._take_reports(now)
        if not heard and now < self._quiet_until:
            self._wait(min(WAIT_MAX_S, self._quiet_until - self._clock()))
            return
        self._send_control(now)
        burst = self._next_burst(now)
        # whenever the machine was asked: a thread that is behind has no turn without a train
        while verdict := self._cast.poll_event():
            self._on_event("verdict", {"member": verdict.member, "lane": verdict.lane, "reason": verdict.reason})
        self._look_at_cost(now)
        if burst is not None:
            self._send_burst(burst)
            self._quiet_until = self._cast.poll_timer()
            return
        self._quiet_until = float("-inf")
        self._wait(min(WAIT_MAX_S, self._cast.poll_timer() - self._clock()))

    def _wait(self, seconds: float) -> None:
        """Until that much time has passed, or, for longer waits, until a report or a call is there."""
        if seconds <= 0:
            return
        if seconds < SHORT_WAIT_S:
            time.sleep(max(seconds, LEAST_WAIT_S))
        else:
            self._poll.poll(seconds * 1000)

    def _look_at_cost(self, now: float) -> None:
        """Go before all others of the machine while that costs them little."""
        if not self._precedence.due(now):
            return
        changed = self._precedence.handle_cost(
            cpu_s=self._cpu_clock(),
            wire_bytes=self._cast.totals.wire_bytes,
            rate_bytes_per_s=self._cast.rate.rate_bytes_per_s,
            now=now,
        )
        if not changed:
            return
        if self._precedence.first:
            self._goes_first = precedence.take()
        elif self._goes_first:
            precedence.yield_back()
            self._goes_first = False

    def _take_reports(self, now: float) -> int:
        """How many there were."""
        for count in range(REPORTS_PER_TURN):
            received = self._socket.receive(self._report)
            if received is None:
                return count
            self._cast.handle_report(bytes(self._report[: received[0]]), now)
        return REPORTS_PER_TURN

    def _send_control(self, now: float) -> None:
        while control := self._cast.poll_control(now):
            packet = self._trains.control(control)
            self._send(memoryview(packet), len(packet))

    def _next_burst(self, now: float) -> Burst | None:
        try:
            return self._cast.poll_burst(now)
        except ChunkError as error:
            # the store does not know a chunk of the manifest: its members will say so again, and fall back
            self._note_unreadable(-1, str(error))
        except OgcastError as error:
            self._note_trouble(-1, str(error))
        return None

    def _send_burst(self, burst: Burst) -> None:
        if burst.chunk != self._ahead_of:
            self._ahead_of = burst.chunk
            kept = self._trains.parity
            first = [] if burst.first_row is None and burst.chunk in kept else [burst.chunk]
            self._frames.read_ahead([*first, *self._cast.upcoming(AHEAD_MAX - len(first), kept=kept)])
        if burst.first_row == 0:  # sent anew: somebody waits for it who was not told
            self._unreadable.discard(burst.chunk)
        try:
            packets = self._trains.build(burst, lambda: self._frames.get(burst.chunk))
        except (RepositoryTroubleError, OSError) as error:
            self._cast.handle_unread(burst, for_good=self._note_trouble(burst.chunk, str(error)))
            return
        except OgcastError as error:
            self._note_unreadable(burst.chunk, str(error))
            self._cast.handle_unread(burst, for_good=True)
            return
        self._read_failures = 0
        size, sent = self._trains.packet_bytes, 0
        for count, at in self._cast.pieces(len(burst)):
            if sent and (early_s := at - self._clock()) > LEAST_WAIT_S:
                time.sleep(early_s)
            self._send(packets[sent * size : (sent + count) * size], size)
            sent += count

    def _send(self, data: memoryview, packet_bytes: int) -> None:
        try:
            self._socket.send(data, packet_bytes)
        except OSError as error:
            self.counters.send_errors += 1
            if self._trouble is None:
                said = explain("the network refuses the packets of a cast", error)
                self._trouble = f"{said.message} ({said.hint})"
                self._on_event("sending_failed", {"reason": self._trouble})
            time.sleep(TROUBLE_PAUSE_S)
        else:
            if self._trouble is not None:
                self._on_event("sending_again", {"reason": self._trouble})
                self._trouble = None

    def _note_unreadable(self, chunk: int, reason: str) -> None:
        self.counters.read_errors += 1
        if chunk not in self._unreadable:
            self._unreadable.add(chunk)
            self._on_event("chunk_unreadable", {"chunk": chunk, "reason": reason})

    def _note_trouble(self, chunk: int, reason: str) -> bool:
        """The disk cannot give a chunk now. Its members lack a train and ask again. True if it was tried too often."""
        self._read_failures += 1
        if self._read_failures >= READ_ATTEMPTS:
            self._read_failures = 0  # the next chunk has its own
            self._note_unreadable(chunk, reason)
            return True
        self.counters.read_errors += 1
        time.sleep(TROUBLE_PAUSE_S)
        return False

    def _say_goodbye(self) -> None:
        for _ in range(FAREWELLS):
            now = self._clock()
            self._cast.handle_closing(now)
            self._send_control(now)

    def _close(self) -> None:
        self._mailbox.close()
        self._socket.close()
        self._frames.close()
