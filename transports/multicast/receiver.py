"""The thread of a member: the clock, the socket and the slots around the machine `proto.reception.Reception`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.arena import Slot
from core.errors import LocalError
from images.stores import Encoding
from transports.multicast.authenticator import PacketAuthenticator
from transports.multicast.fec.code import ErasureCode
from transports.multicast.fec.isal import find_code
from transports.multicast.intake import Intake
from transports.multicast.mailbox import Mailbox
from transports.multicast.mending import mend
from transports.multicast.proto.received import Ready
from transports.multicast.proto.reception import Reception
from transports.multicast.proto.silence import Alarm
from transports.multicast.udp.incoming import GroupReceiver

__all__ = ["Arrived", "CastReceiver", "ReceiverCounters", "pause_s"]

GATHER_S = 0.04
"""When packets come faster than this, they are left to gather for so long and taken together: a wake-up, and a call of
the machine, cost more than a train."""
GATHER_FEW_S = 0.005
FEW_BYTES_PER_S = 1_500_000
"""Where less comes, as at the end of an image, little is saved by gathering, and each round of repairs waits for it."""
GATHER_BYTES = 4 * 1024 * 1024
"""What gathers at most: at high rates the above is shorter, so that the batch stays in the cache."""
GATHER_SHARE = 8
"""And no more than this part of the socket's buffer, in which a small packet takes several times its length."""
WAIT_MAX_S = 0.5
ONE = (1).to_bytes(8, sys.byteorder)
"""What is written to an eventfd."""

_Result = TypeVar("_Result")


def pause_s(taken_bytes: int, within_s: float, *, most: int) -> float:
    """How long to let packets gather where so many bytes came within this time: `most` bytes, or GATHER_S."""
    if taken_bytes < FEW_BYTES_PER_S * within_s:
        return GATHER_FEW_S
    return min(GATHER_S, most * within_s / max(1, taken_bytes))


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that is all there; its slot belongs to whoever gets this."""

    chunk: int
    slot: Slot
    stored_bytes: int
    encoding: Encoding
    proven: bool
    """See Ready."""
    mend: Callable[[], None] | None
    """Computes what is not an original yet, in the slot, and raises nothing: see Delivery.prepare."""


class ReceiverCounters(msgspec.Struct):
    """Running totals beside those of the machine and of the intake."""

    mended_symbols: int = 0
    """Originals computed from parity."""
    rejoins: int = 0
    report_errors: int = 0
    """Reports the network refused."""
    crashes: int = 0
    """Times that a fault of ours ended the thread, a call, or the mending of a chunk."""


class CastReceiver:
    """Takes one member's part of a cast until `stop`. Machine and socket belong to the thread from `start` on.

    Everything `on_…` is called on `loop`: `on_chunk` for each chunk that arrived, `on_alarm` when the machine raises
    one (Alarm.REJOIN is acted upon here and not told), `on_trouble` when joining again fails or the thread ends by a
    fault. Make, start and `give_slot` on the loop's thread; `stop` may wait, and be called from any.

    Slots are memory chunks are assembled in; the receiver never waits for one. `code` serves whoever mends a chunk, on
    any thread.
    """

    def __init__(
        self,
        reception: Reception,
        *,
        socket: GroupReceiver,
        report_to: tuple[str, int],
        authenticator: PacketAuthenticator,
        symbol_bytes: int,
        loop: asyncio.AbstractEventLoop,
        on_chunk: Callable[[Arrived], None],
        on_alarm: Callable[[Alarm], None],
        on_trouble: Callable[[LocalError], None],
        code: ErasureCode | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises LocalError if reports cannot be sent to `report_to`; `socket` is then still the caller's."""
        self._reports = _report_socket(report_to)
        self._reception = reception
        self._socket = socket
        self._symbol_bytes = symbol_bytes
        self._loop = loop
        self._on_chunk = on_chunk
        self._on_alarm = on_alarm
        self._on_trouble = on_trouble
        self._code: ErasureCode = code or find_code()
        self._clock = clock
        self._mailbox: Mailbox[Reception] = Mailbox(on_fault=partial(self._note_fault, "a call failed"))
        self._stop = threading.Event()
        self._pausing = select.poll()
        # a file object: whoever closes it a second time closes nothing else
        self._end_of_pause = open(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC), "wb", buffering=0)  # noqa: SIM115
        self._slots: dict[int, Slot] = {}
        self._memory: dict[int, NDArray[np.uint8]] = {}
        self._next_slot = 0
        self._out: deque[Callable[[], None]] = deque()
        self._out_scheduled = False
        self._lock = threading.Lock()
        """For what is posted and for counters, which whoever mends a chunk adds to as well."""
        self._last_wake = 0.0
        self._gather_bytes = min(GATHER_BYTES, socket.buffer_bytes // GATHER_SHARE)
        self._taken = 0
        self._pause = GATHER_S
        self._intake = Intake(
            reception, socket=socket, authenticator=authenticator, memory=self._memory, symbol_bytes=symbol_bytes
        )
        self._poll = select.poll()
        self._thread = threading.Thread(target=self._run, name="multicast-receive", daemon=True)
        self.counters = ReceiverCounters()

    @property
    def intake(self) -> Intake:
        """For its counters."""
        return self._intake

    @property
    def running(self) -> bool:
        """False once the thread has ended, by `stop` or by a fault."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to receive."""
        self._poll.register(self._mailbox.fileno(), select.POLLIN)
        self._poll.register(self._socket.fileno(), select.POLLIN)
        self._pausing.register(self._end_of_pause, select.POLLIN)
        self._thread.start()

    def call(self, work: Callable[[Reception, float], _Result]) -> Future[_Result]:
        """Run `work(reception, now)` on the thread, between two batches. See Mailbox.call."""
        return self._mailbox.call(work)

    def tell(self, work: Callable[[Reception], object]) -> None:
        """As `call`, where nobody waits for an answer: a fault in it is counted, and told as trouble."""
        self._mailbox.tell(lambda reception, now: work(reception))

    def tell_of(self, chunks: Iterable[int], what: Callable[[Reception, int], None]) -> None:
        """The same of each of `chunks`. One call: a whole image may change hands, and calls that wait are bounded."""

        def tell(reception: Reception) -> None:
            for chunk in chunks:
                what(reception, chunk)

        self.tell(tell)

    @property
    def calls_refused(self) -> int:
        """Calls that found too many others waiting."""
        return self._mailbox.refused

    def give_slot(self, slot: Slot) -> None:
        """Memory for a chunk. It comes back in Arrived, from `take_back`, or from `stop`."""
        number = self._next_slot
        self._next_slot += 1
        rows = len(slot.view) // self._symbol_bytes
        memory = np.frombuffer(slot.view, dtype=np.uint8, count=rows * self._symbol_bytes)
        self._slots[number] = slot
        self._memory[number] = memory.reshape(rows, self._symbol_bytes)
        self.tell(lambda reception: reception.handle_slot(number))

    async def take_back(self) -> Slot | None:
        """A slot that waits for a chunk, for the use of others; None if there is none."""
        number = await asyncio.wrap_future(self.call(lambda reception, now: reception.poll_free_slot()))
        return None if number is None else self._give_away(number)

    def stop(self) -> list[Slot]:
        """End the thread, leave the group; returns the slots it still held, to be released on the loop.

        Waits for the batch under way, some milliseconds. Harmless when repeated.
        """
        self._stop.set()
        self._mailbox.wake()
        with contextlib.suppress(ValueError):  # stopped before, and closed
            self._end_of_pause.write(ONE)
        if self._thread.ident is not None:
            self._thread.join()
        else:
            self._close()
        self._end_of_pause.close()
        held = []
        while self._slots:  # one by one: what the loop hands over at this moment is taken by one of us only
            _, slot = self._slots.popitem()
            held.append(slot)
        self._memory.clear()
        return held

    # ------------------------------------------------------------------ on the thread

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._turn()
        except Exception as error:
            self._note_fault("receiving ended", error)
        finally:
            self._close()

    def _turn(self) -> None:
        """One batch. Calls come before it, even while more waits: among them are the slots its chunks may need."""
        now = self._clock()
        self._mailbox.run(self._reception, now)
        more = self._take(now)
        while ready := self._reception.poll_ready():
            self._post(partial(self._hand_over, ready))
        self._act(self._clock())
        if not more:  # what came meanwhile is little, and costs as many calls as a whole batch: it may gather
            self._wait(min(WAIT_MAX_S, self._reception.poll_timer() - self._clock()))

    def _take(self, now: float) -> bool:
        try:
            return self._intake.take(now)
        except OSError:  # the interface went away: silence, until it is back and the group was joined again
            time.sleep(GATHER_S)
            return False

    def _act(self, now: float) -> None:
        """Timers, reports, alarms."""
        self._reception.handle_timer(now)
        self._reception.handle_queue(self._socket.queued_bytes())
        if (report := self._reception.poll_report(now)) is not None:
            try:
                self._reports.send(report)
            except OSError:
                self.counters.report_errors += 1
        while alarm := self._reception.poll_alarm():
            if alarm is Alarm.REJOIN:
                self.counters.rejoins += 1
                if error := self._socket.rejoin():
                    self._post(partial(self._on_trouble, error))
            else:
                self._post(partial(self._on_alarm, alarm))

    def _wait(self, seconds: float) -> None:
        if self._stop.is_set():
            return
        self._poll.poll(max(0.0, seconds) * 1000)
        now = self._clock()
        since = now - self._last_wake
        taken = self._intake.counters.bytes - self._taken
        self._taken += taken
        # What was taken since the last wake-up had come while this thread slept before it, and since.
        self._pause = pause_s(taken, self._pause + since, most=self._gather_bytes)
        if since < self._pause:
            # Not Event.wait: it ends at a moment of the clock, and where a clock is forged (libfaketime) that is never.
            self._pausing.poll(max(0.0, self._pause) * 1000)
            now += self._pause
        self._last_wake = now

    def _note_fault(self, what: str, error: BaseException) -> None:
        with self._lock:
            self.counters.crashes += 1
        reason = f"{what} by a fault of this program: {type(error).__name__}: {error}"
        self._post(partial(self._on_trouble, LocalError(reason, hint="please report it")))

    def _close(self) -> None:
        self._mailbox.close()
        self._socket.close()
        self._reports.close()

    # ------------------------------------------------------------------ on the thread of whoever reads a chunk

    def _mend(self, ready: Ready, frame: NDArray[np.uint8]) -> None:
        try:
            symbols = mend(frame, ready.layout, ready.repairs, self._code)
        except Exception as error:
            # read all the same: its digest says that it is wrong, and so often as that is borne it comes again
            self._note_fault("a chunk cannot be decoded", error)
            return
        with self._lock:
            self.counters.mended_symbols += symbols

    # ------------------------------------------------------------------ on the loop

    def _post(self, work: Callable[[], None]) -> None:
        """Have the loop do something; everything posted meanwhile is done at the same time.

        Bounded without a count of its own: by the slots, and by what the machine's timers raise.
        """
        with self._lock:
            self._out.append(work)
            if self._out_scheduled:
                return
            self._out_scheduled = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._do_posted)

    def _do_posted(self) -> None:
        with self._lock:
            work = list(self._out)
            self._out.clear()
            self._out_scheduled = False
        for one in work:
            one()

    def _hand_over(self, ready: Ready) -> None:
        memory = self._memory.get(ready.slot)
        slot = self._give_away(ready.slot)
        if slot is None or memory is None:
            return  # stopped meanwhile: `stop` gave the slot away
        frame = memory[: ready.layout.symbols]
        self._on_chunk(
            Arrived(
                chunk=ready.chunk,
                slot=slot,
                stored_bytes=ready.layout.stored_bytes,
                encoding=Encoding(ready.encoding),
                proven=ready.proven,
                mend=partial(self._mend, ready, frame) if len(ready.repairs) else None,
            )
        )

    def _give_away(self, number: int) -> Slot | None:
        self._memory.pop(number, None)
        return self._slots.pop(number, None)


def _report_socket(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.connect(address)
    except OSError as error:
        sock.close()
        raise LocalError(
            f"cannot send reports to {address[0]}: {error.strerror}", hint="is there a route to the repository?"
        ) from None
    sock.setblocking(False)
    return sock
