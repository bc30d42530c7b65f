"""The receiving side of one cast, as a pure machine: where packets go, what is lacking, when to say so.

The shell authenticates packets, feeds them train by train, copies symbols where `handle_packets` says and only then
polls for finished chunks. The machine owns memory by slot numbers: it gets them by `handle_slot` and gives each back
in `Ready`, or in `poll_free_slot` when it has no use for it any more. It never waits: a chunk for which there is no
slot passes by, is counted, and asked for when there is one.

Chunks are *unwanted*, *wanted*, *arriving* (an assembly holds a slot), *ready* (handed over, not judged yet).
"""

from __future__ import annotations

import random
from collections import deque

import numpy as np
from numpy.typing import NDArray

from core.errors import ProtocolError
from transports.multicast.proto.assembly import Assembly
from transports.multicast.proto.beginning import Beginning
from transports.multicast.proto.deficits import Deficits, deficits_of
from transports.multicast.proto.layout import Layout
from transports.multicast.proto.limits import WHOLE_CHUNK
from transports.multicast.proto.loss import SequenceTracker
from transports.multicast.proto.packets import (
    Headers,
    Kind,
    Probe,
    Run,
    Status,
    StatusFlags,
    extend_sequences,
    kind_of,
    sequence_of,
    well_formed,
)
from transports.multicast.proto.received import Figures, Placement, Progress, Ready
from transports.multicast.proto.report_clock import ReportClock
from transports.multicast.proto.reports import Report, ReportFlags, entries_of
from transports.multicast.proto.silence import Alarm, Silence
from transports.multicast.proto.socket_queue import SocketQueue

__all__ = ["FIRST_REPORT_PACKETS", "MAX_AGE_S", "Reception"]

FIRST_REPORT_PACKETS = 256
"""Who has seen so many reports once, though it may lack nothing: the sender waits to hear how wide the way is."""
MIN_AGE_S = 0.01
"""A block is not reported before its last packet is this old, whatever the round trip."""
MAX_AGE_S = 0.1
"""Nor is it held back for longer. What was measured as a longer trip is mostly a wait in the socket of a program that
was only starting; and who asks again for what is under way gets nothing twice."""

_Column = NDArray[np.uint8]
"""Of a run's headers, as `blocks` or `symbols`."""
_UNWANTED, _WANTED, _ARRIVING, _READY = range(4)
"""States of one chunk. No enumeration: each of its names takes a microsecond to look up, many times a batch."""


class Reception:
    """One member's view of a cast."""

    def __init__(
        self,
        *,
        cast_id: int,
        member: int,
        key: bytes,
        symbol_bytes: int,
        wanted: NDArray[np.bool_],
        slot_bytes: int,
        slots: int,
        sequence: int,
        interval_s: float,
        rng: random.Random,
        now: float,
    ) -> None:
        """`wanted`: one flag a chunk. `sequence`: where the sender stood when it made the offer."""
        self._cast_id = cast_id
        self._member = member
        self._key = key
        self._symbol_bytes = symbol_bytes
        self._slot_bytes = slot_bytes
        self._state = np.where(wanted, _WANTED, _UNWANTED).astype(np.uint8)
        self._lacking = int(wanted.sum())
        self._assemblies: dict[int, Assembly] = {}
        self._slots: deque[int] = deque()
        self.slots = slots
        """How many there are altogether, here or in use; set it as it changes."""
        self._ready: deque[Ready] = deque()
        self._alarms: deque[Alarm] = deque()
        self._tracker = SequenceTracker(sequence)
        self._clock = ReportClock(interval_s=interval_s, rng=rng, now=now)
        self._number = 0
        self._beginning = Beginning()
        self._position = 0
        self._silence = Silence(now)
        self._status: Status | None = None
        self._statuses = 0
        self._status_at = now
        self._write_bytes_per_s = 0
        self._queue = SocketQueue(slots * slot_bytes)
        self._patience = ReportFlags.NONE
        self.figures = Figures()

    # ------------------------------------------------------------------ state

    @property
    def highest(self) -> int:
        """Highest sequence seen: what short numbers are extended by."""
        return self._tracker.highest

    @property
    def tracker(self) -> SequenceTracker:
        """What came and what did not; read only."""
        return self._tracker

    @property
    def lacking(self) -> int:
        """Chunks not yet accepted."""
        return self._lacking

    @property
    def status(self) -> Status | None:
        """The last STATUS."""
        return self._status

    @property
    def free_slots(self) -> int:
        """Slots waiting for a chunk."""
        return len(self._slots)

    # ------------------------------------------------------------------ packets

    def handle_packets(
        self,
        headers: Headers,
        now: float,
        *,
        sequences: NDArray[np.int64] | None = None,
        proven: bool = True,
        ordered: bool = False,
    ) -> list[Placement]:
        """Data packets, authenticated. Copy what the answer names, then call `poll_ready`.

        `sequences`: their whole numbers, extended by `highest`, if the caller has them already. `proven`: their symbols
        are authentic as well as their headers (see proto.trust). `ordered`: trust.in_order said so of `sequences`.
        """
        runs, count = headers.runs(), len(headers)
        good = well_formed(
            headers, runs, cast_id=self._cast_id, chunks=len(self._state), symbol_bytes=self._symbol_bytes
        )
        known = int(np.count_nonzero(good))
        self.figures.packets += count
        self.figures.malformed += count - known
        if known:
            self._silence.handle_heard(now)
        if sequences is None:
            sequences = extend_sequences(headers.sequence, self._tracker.highest)
        index = None
        if ordered and known == count:
            self._tracker.handle_ordered(sequences)
        else:
            fresh = self._tracker.handle_sequences(sequences if known == count else sequences[good])
            if known < count or not fresh.all():
                index = np.flatnonzero(good)[fresh]
                headers = headers.select(index)
                runs = headers.runs()
        blocks, symbols, placements = headers.block, headers.symbol, []
        for run in runs:
            mine = slice(run.start, run.stop)
            placements += self._place(run, blocks[mine], symbols[mine], now, proven)
        if index is not None:  # these are numbers of those that were selected
            placements = [some.among(index) for some in placements]
        return placements

    def _place(self, run: Run, blocks: _Column, symbols: _Column, now: float, proven: bool) -> list[Placement]:
        """What is taken of one run; its chunk is handed over if that was all it lacked."""
        assembly = self._assembly_of(run, blocks, symbols, now)
        if assembly is None:
            return []
        placements, taken = [], 0
        for packets, rows in assembly.place(blocks, symbols, now):
            if isinstance(packets, slice):
                packets = slice(packets.start + run.start, packets.stop + run.start)
            else:
                packets += run.start
            if len(rows):
                assembly.proven &= proven
                taken += len(rows)
                placements.append(Placement(slot=assembly.slot, packets=packets, rows=rows))
        self.figures.stored += taken
        self.figures.surplus += len(run) - taken
        if assembly.complete:
            self._finish(run.chunk, assembly)
        return placements

    def handle_control(self, packet: bytes | memoryview, now: float) -> None:
        """STATUS or PROBE, authenticated, without the authenticator. What makes no sense is counted."""
        try:
            kind = kind_of(packet)
            sequence = sequence_of(packet, self._tracker.highest)
            message = Status.parse(packet) if kind is Kind.STATUS else Probe.parse(packet)
            if message.cast_id != self._cast_id or message.sequence != sequence:
                raise ProtocolError("not of this cast")
        except ProtocolError:
            self.figures.malformed += 1
            return
        self._silence.handle_heard(now)
        if not self._tracker.handle_sequence(sequence):
            return
        if isinstance(message, Probe):
            self.figures.probes += 1
        else:
            self._handle_status(message, now)

    def handle_overflow(self, packets: int) -> None:
        """The socket dropped `packets` more for want of memory."""
        self.figures.overflow += packets

    # ------------------------------------------------------------------ memory and chunks

    def handle_slot(self, slot: int) -> None:
        """A slot to assemble a chunk in. The one given last is used first: its memory was touched already."""
        self._slots.append(slot)

    def handle_accepted(self, chunk: int) -> None:
        """The chunk is good, or came another way: nothing of it is wanted any more."""
        if self._state[chunk] == _UNWANTED:
            return
        if assembly := self._assemblies.pop(chunk, None):
            self._slots.append(assembly.slot)
        self._state[chunk] = _UNWANTED
        self._lacking -= 1

    def handle_wanted(self, chunk: int) -> None:
        """The chunk is to come over this path, though it was not until now."""
        if self._state[chunk] == _UNWANTED:
            self._state[chunk] = _WANTED
            self._lacking += 1

    def handle_rejected(self, chunk: int) -> None:
        """The chunk was not what its digest says: all of it is wanted again."""
        self.figures.rejected += 1
        if self._state[chunk] == _READY:  # else it came another way meanwhile
            self._state[chunk] = _WANTED

    def handle_rate(self, write_bytes_per_s: int) -> None:
        """How fast this member writes, for its reports."""
        self._write_bytes_per_s = write_bytes_per_s

    def handle_patience(self, patient: bool) -> None:
        """Whether there is more memory for what has holes in; the sender then may serve this member last."""
        self._patience = ReportFlags.PATIENT if patient else ReportFlags.NONE

    def progress(self) -> Progress:
        """How chunks stand; whole ones that were not judged yet count as arriving."""
        arriving = frozenset(np.flatnonzero(self._state >= _ARRIVING).tolist())
        repeating = self._status is not None and StatusFlags.REPEATS in self._status.flags
        return Progress(arriving=arriving, position=self._position, repeating=repeating, idle=self._idle)

    def handle_queue(self, queued_bytes: int) -> None:
        """What waits in the socket's buffer."""
        self._queue.handle_length(queued_bytes)

    def poll_ready(self) -> Ready | None:
        """The next chunk that is all there."""
        return self._ready.popleft() if self._ready else None

    def poll_free_slot(self) -> int | None:
        """Take back a slot that waits for a chunk, so that another transport can use it."""
        return self._slots.popleft() if self._slots else None

    # ------------------------------------------------------------------ time

    def poll_timer(self) -> float:
        """When `handle_timer` or `poll_report` has something to do."""
        if not self._lacking:
            return self._clock.due_at(lacking=False)
        return min(self._clock.due_at(lacking=bool(self._assemblies) or self._passed_over), self._silence.due_at())

    def handle_timer(self, now: float) -> None:
        """Call when `poll_timer` is reached; earlier is harmless."""
        if self._lacking and (alarm := self._silence.poll(now)):
            self._alarms.append(alarm)

    def poll_alarm(self) -> Alarm | None:
        """What the shell has to act upon."""
        return self._alarms.popleft() if self._alarms else None

    def poll_report(self, now: float) -> bytes | None:
        """The datagram to send to the sender, if it is time."""
        lacking = self._lacking > 0 and (bool(self._assemblies) or self._passed_over)
        if now < self._clock.due_at(lacking=lacking):
            return None
        lacks, status = self._lacks(now), self._status
        small = self._statuses > 1 and self._clock.often  # the first STATUS may be older than most of a crowd
        first = small and not self._number and self._tracker.span >= FIRST_REPORT_PACKETS
        if not len(lacks) and not first and not self._clock.handle_nothing(now):
            return None
        self._clock.handle_sent(now)
        self._number += 1
        self.figures.reports += 1
        busy = status is not None and status.chunks_wanted > 0  # others' chunks may come before whole ones, and heads
        waits = (lacks.blocks == WHOLE_CHUNK) | (lacks.chunks == self._beginning.first_chunk)
        self.figures.asked += bool(len(lacks)) and not (busy and waits.all())
        waiting = max(0, self.slots - len(self._slots) - len(self._assemblies))
        return Report(
            cast_id=self._cast_id,
            member=self._member,
            number=self._number,
            as_of=self._tracker.highest,
            span=self._tracker.span,
            received=self._tracker.received,
            overflow=self.figures.overflow,
            status_time_us=0 if status is None else status.time_us,
            held_us=0 if status is None else int((now - self._status_at) * 1e6),
            write_bytes_per_s=self._write_bytes_per_s,
            missing_chunks=self._lacking,
            backlog=int(255 * max(self._queue.backlog, waiting / max(1, self.slots))),
            flags=(ReportFlags.MORE if lacks.more else ReportFlags.NONE) | self._patience,
            entries=entries_of(lacks.chunks, lacks.blocks, lacks.deficits),
        ).encode(self._key)

    # ------------------------------------------------------------------ inside

    @property
    def _idle(self) -> bool:
        """The last that came said that nothing more will."""
        status = self._status
        return status is not None and StatusFlags.IDLE in status.flags and status.sequence >= self._tracker.highest

    @property
    def _passed_over(self) -> bool:
        """What is wanted and not arriving may not come unasked: all that goes on is repairs, or was sent before."""
        if (status := self._status) is None or StatusFlags.IDLE in status.flags:
            return self._idle
        return status.chunks_wanted == 0 or StatusFlags.REPEATS in status.flags

    def _handle_status(self, status: Status, now: float) -> None:
        if self._status is not None and status.sequence < self._status.sequence:
            return
        self._status = status
        self._statuses += 1
        self._status_at = now
        self._clock.handle_interval(status.report_interval_ms / 1000)
        if StatusFlags.CLOSING in status.flags:
            self._alarms.append(Alarm.CLOSING)
        if self._idle and self._lacking:
            pause = max(2 * status.round_trip_ms / 1000, MIN_AGE_S)
            self._clock.handle_end(members=status.members, pause_s=pause, now=now)

    def _assembly_of(self, run: Run, blocks: _Column, symbols: _Column, now: float) -> Assembly | None:
        """The assembly a run of packets belongs to, made if this is its first; None if the run is of no use."""
        chunk, state = run.chunk, int(self._state[run.chunk])
        if state in (_UNWANTED, _READY):
            self.figures.surplus += len(run)
            return None
        if state == _ARRIVING:
            assembly = self._assemblies[chunk]
            if assembly.layout.stored_bytes != run.stored_bytes or assembly.encoding != run.encoding:
                self.figures.malformed += len(run)
                return None
            return assembly
        layout = Layout(run.stored_bytes, self._symbol_bytes)
        if layout.padded_bytes > self._slot_bytes:
            self.figures.malformed += len(run)
            return None
        self._position = max(self._position, chunk)
        if not self._slots or not self._beginning.allows(run.chunk, layout, blocks, symbols):
            self.figures.passed += len(run)
            return None
        assembly = Assembly(layout=layout, encoding=run.encoding, slot=self._slots.pop(), now=now)
        self._assemblies[chunk] = assembly
        self._state[chunk] = _ARRIVING
        return assembly

    def _finish(self, chunk: int, assembly: Assembly) -> None:
        del self._assemblies[chunk]
        self._state[chunk] = _READY
        self.figures.chunks += 1
        self._ready.append(
            Ready(
                chunk=chunk,
                slot=assembly.slot,
                layout=assembly.layout,
                encoding=assembly.encoding,
                repairs=assembly.repairs(),
                proven=assembly.proven,
            )
        )

    def _lacks(self, now: float) -> Deficits:
        """What is worth reporting; of whole chunks only as much as there is memory for: asking for more would have it
        sent in vain."""
        trip = 0.0 if self._status is None else self._status.round_trip_ms / 1000
        young = now if self._idle else now - min(MAX_AGE_S, max(2 * trip, MIN_AGE_S))
        whole = np.flatnonzero(self._state == _WANTED)[: len(self._slots)] if self._passed_over else ()
        return deficits_of(self._assemblies, whole, before=young)
