from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from transports.multicast.proto.layout import Layout
from transports.multicast.proto.limits import WHOLE_CHUNK
from transports.multicast.proto.packets import Headers, Probe, Status, StatusFlags, parse_headers, write_headers
from transports.multicast.proto.reception import FIRST_REPORT_PACKETS, MAX_AGE_S, Reception
from transports.multicast.proto.reports import Report, ReportFlags, split_entries
from transports.multicast.proto.silence import Alarm

KEY = bytes(range(32))
SYMBOL = 64
LAYOUT = Layout(400 * SYMBOL, SYMBOL)  # three blocks
STORED = LAYOUT.stored_bytes

Place = tuple[int, int, int]
"""Which packet, to which slot and row."""


class Wire:
    """Numbers packets as a sender does and feeds one reception of five chunks."""

    def __init__(self, *, slots: int = 2, wanted: tuple[int, ...] = (0, 1, 2, 3, 4)) -> None:
        flags = np.zeros(5, dtype=np.bool_)
        flags[list(wanted)] = True
        self.reception = Reception(
            cast_id=7,
            member=1,
            key=KEY,
            symbol_bytes=SYMBOL,
            wanted=flags,
            slot_bytes=LAYOUT.padded_bytes,
            slots=slots,
            sequence=0,
            interval_s=0.1,
            rng=random.Random(1),
            now=0.0,
        )
        for slot in range(slots):
            self.reception.handle_slot(slot)
        self.sequence = 1
        self.now = 0.0

    def train(self, chunk: int, rows: list[int] | range, *, stored: int = STORED, encoding: int = 0) -> Headers:
        """Originals of these rows."""
        at = np.array(rows)
        return self.symbols(chunk, at % LAYOUT.blocks, at // LAYOUT.blocks, stored=stored, encoding=encoding)

    def symbols(
        self,
        chunk: int,
        blocks: np.ndarray,
        symbols: np.ndarray,
        *,
        stored: int = STORED,
        encoding: int = 0,
    ) -> Headers:
        packets = np.zeros((len(blocks), 16), dtype=np.uint8)
        write_headers(
            packets,
            cast_id=7,
            first_sequence=self.sequence,
            chunk=chunk,
            blocks=np.asarray(blocks).astype(np.uint8),
            symbols=np.asarray(symbols).astype(np.uint8),
            stored_bytes=stored,
            encoding=encoding,
        )
        self.sequence += len(blocks)
        return parse_headers(packets)

    def send(self, chunk: int, rows: list[int] | range, *, lost: tuple[int, ...] = ()) -> list[Place]:
        headers = self.train(chunk, rows)
        keep = np.array([row not in lost for row in rows])
        self.now += 0.001
        return self.take(headers.select(keep), self.now)

    def take(self, headers: Headers, now: float) -> list[Place]:
        every, placements = np.arange(len(headers)), self.reception.handle_packets(headers, now)
        return [
            (packet, some.slot, row)
            for some in placements
            for packet, row in zip(every[some.packets].tolist(), some.rows.tolist(), strict=True)
        ]

    def status(
        self, flags: StatusFlags = StatusFlags.NONE, *, members: int = 1, trip_ms: int = 1, wanted: int = 0
    ) -> None:
        packet = Status(
            cast_id=7,
            sequence=self.sequence,
            time_us=int(self.now * 1e6),
            pace_bytes_per_s=1000,
            chunks_wanted=wanted,
            repairs_pending=0,
            report_interval_ms=100,
            round_trip_ms=trip_ms,
            members=members,
            flags=flags,
        )
        self.sequence += 1
        self.reception.handle_control(packet.encode(), self.now)

    def report(self, now: float) -> tuple[Report, list[tuple[int, int, int]]] | None:
        data = self.reception.poll_report(now)
        if data is None:
            return None
        report = Report.parse(data, KEY)
        columns = [column.tolist() for column in split_entries(report.entries)]
        return report, list(zip(*columns, strict=True))


def joined(parts: Sequence[Headers]) -> Headers:
    return Headers(np.concatenate([part.words for part in parts]))


def test_symbols_go_to_their_rows_and_a_whole_chunk_comes_out() -> None:
    wire = Wire()
    placed = wire.send(2, range(44))
    assert placed == [(row, 1, row) for row in range(44)]  # the slot given last is the warmest
    assert wire.reception.poll_ready() is None
    wire.send(2, range(44, 400))
    ready = wire.reception.poll_ready()
    assert ready is not None
    assert (ready.chunk, ready.slot, ready.layout.stored_bytes, len(ready.repairs)) == (2, 1, LAYOUT.stored_bytes, 0)
    assert wire.reception.lacking == 5
    wire.reception.handle_accepted(2)
    wire.reception.handle_accepted(2)
    assert wire.reception.lacking == 4


def test_a_train_may_carry_several_chunks_repairs_and_repetitions() -> None:
    wire = Wire()
    wire.send(0, range(400), lost=(7,))
    both = wire.symbols(0, np.array([1, 1]), np.array([200, 201]))
    other = wire.train(1, [0, 1])
    parts = (both, other, other)
    assert wire.take(joined(parts), 1.0) == [(0, 1, 7), (2, 0, 0), (3, 0, 1)]
    ready = wire.reception.poll_ready()
    assert ready is not None
    assert (ready.repairs.rows.tolist(), ready.repairs.symbols.tolist()) == ([7], [200])


def test_what_names_nothing_or_contradicts_changes_only_counters() -> None:
    wire = Wire()
    wire.send(0, range(10))
    wire.reception.handle_packets(wire.train(9, range(3)), 1.0)
    wire.reception.handle_packets(wire.train(0, [20], stored=399 * SYMBOL), 1.0)
    wire.reception.handle_packets(wire.train(0, [20], encoding=1), 1.0)
    wire.reception.handle_packets(wire.train(1, [0], stored=401 * SYMBOL), 1.0)
    wire.reception.handle_control(b"\x12" + bytes(47), 1.0)
    wire.reception.handle_control(b"\x99", 1.0)
    assert wire.reception.figures.malformed == 8
    assert wire.reception.figures.stored == 10


def test_of_neighbours_those_that_contradict_the_first_are_passed_over() -> None:
    wire = Wire()
    other_length, other_encoding = wire.train(0, [2], stored=399 * SYMBOL), wire.train(0, [3], encoding=1)
    parts = [wire.train(0, [0, 1]), other_length, other_encoding, wire.train(0, [4])]
    assert wire.take(joined(parts), 1.0) == [(0, 1, 0), (1, 1, 1), (4, 1, 4)]
    assert wire.reception.figures.malformed == 2


def test_places_are_those_of_the_batch_whatever_was_passed_over_before_them() -> None:
    wire = Wire()
    wire.send(0, range(400), lost=(7, 10, 399))
    replay = wire.train(1, [0, 1])
    wire.reception.handle_packets(replay, 0.5)
    parity = wire.symbols(0, np.array([1, 1, 0]), np.array([2, 200, 200]))  # row 7, then for rows 10 and 399
    parts = [wire.train(9, [0]), wire.train(1, [2, 3]), replay, parity]
    assert wire.take(joined(parts), 1.0) == [(1, 0, 2), (2, 0, 3), (5, 1, 7), (6, 1, 10), (7, 1, 399)]


def test_a_number_below_the_first_is_late() -> None:
    wire = Wire()
    wire.sequence = 0
    assert wire.take(wire.train(0, [0, 1]), 0.1) == [(1, 1, 1)]
    assert (wire.reception.figures.malformed, wire.reception.tracker.late) == (0, 1)


def test_packets_of_no_chunk_of_the_image_do_not_even_break_the_silence() -> None:
    wire = Wire()
    wire.reception.handle_packets(wire.train(9, range(4)), 0.9)
    assert wire.reception.figures.malformed == 4
    wire.reception.handle_timer(1.0)
    assert wire.reception.poll_alarm() is Alarm.REJOIN


def test_without_memory_a_chunk_passes_and_is_asked_for_at_the_end() -> None:
    wire = Wire(slots=1, wanted=(0, 1))
    wire.send(0, range(399))
    wire.send(1, range(400))
    assert wire.reception.figures.passed == 400
    wire.now = 1.0
    wire.status(StatusFlags.IDLE)
    told = wire.report(1.1)
    assert told is not None
    assert told[1] == [(0, 399 % 3, 1)]
    wire.send(0, [399])
    assert wire.reception.poll_ready() is not None
    wire.reception.handle_accepted(0)
    wire.reception.handle_slot(0)
    wire.status(StatusFlags.IDLE)
    told = wire.report(3.0)
    assert told is not None
    assert told[1] == [(1, WHOLE_CHUNK, 0)]


def test_a_chunk_is_not_begun_in_its_middle_but_for_a_joiners_first() -> None:
    wire = Wire()
    assert len(wire.send(0, range(200, 400))) == 200
    assert len(wire.send(1, range(200, 400))) == 0
    assert len(wire.take(wire.symbols(2, np.array([0]), np.array([200])), 1.0)) == 0
    assert wire.reception.figures.passed == 201
    assert len(wire.send(3, range(100, 144))) == 0  # a quarter is the limit
    assert len(wire.send(4, range(99, 143))) == 44


def test_young_losses_are_not_reported() -> None:
    wire = Wire()
    wire.send(0, range(400), lost=(3, 4))
    wire.now = 0.5
    wire.send(1, range(40), lost=(9,))
    wire.status(trip_ms=100)
    told = wire.report(0.6)
    assert told is not None
    report, entries = told
    assert entries == [(0, 0, 1), (0, 1, 1)]
    assert (report.as_of, report.span, report.received, report.missing_chunks) == (441, 441, 438, 5)
    assert wire.report(0.61) is None


def test_however_long_trips_are_said_to_be_losses_wait_for_a_tenth_of_a_second_only() -> None:
    wire = Wire()
    wire.send(0, range(400), lost=(3, 4))
    wire.now = 0.5
    wire.send(1, range(40), lost=(9,))
    wire.status(trip_ms=900)
    told = wire.report(wire.now + MAX_AGE_S - 0.01)
    assert told is not None
    assert told[1] == [(0, 0, 1), (0, 1, 1)]
    later = wire.report(wire.now + 4 * MAX_AGE_S)
    assert later is not None
    assert {chunk for chunk, _, _ in later[1]} == {0, 1}


def test_who_lacks_nothing_says_once_that_it_hears() -> None:
    wire = Wire()
    wire.now = 0.2
    wire.status(wanted=4)
    wire.status(wanted=4)
    wire.send(0, range(FIRST_REPORT_PACKETS - 3))
    assert wire.report(wire.now) is None
    wire.now = 0.3
    wire.send(0, range(FIRST_REPORT_PACKETS - 3, 300))
    told = wire.report(wire.now)
    assert told is not None
    report, entries = told
    assert (report.number, report.span, report.received, entries) == (1, 302, 302, [])
    wire.now = 0.6
    wire.send(0, range(300, 310))
    assert wire.report(wire.now) is None


def test_the_end_is_reported_at_once_whatever_its_age() -> None:
    wire = Wire(wanted=(0,))
    wire.reception.poll_report(0.1)
    wire.send(0, range(400), lost=(398, 399))
    wire.status(StatusFlags.IDLE)
    assert wire.reception.poll_timer() <= wire.now + 0.02
    told = wire.report(wire.now + 0.02)
    assert told is not None
    assert told[1] == [(0, 0, 1), (0, 2, 1)]


def test_data_after_an_idle_status_ends_the_rest() -> None:
    wire = Wire(wanted=(0, 1))
    wire.status(StatusFlags.IDLE)
    wire.send(0, range(10))
    told = wire.report(1.0)
    assert told is None or (1, WHOLE_CHUNK, 0) not in told[1]


def test_a_chunk_passed_over_is_asked_for_while_others_are_repaired() -> None:
    wire = Wire(wanted=(0, 1))
    wire.send(0, range(400), lost=(7,))
    wire.status(wanted=3)
    told = wire.report(wire.now + 1)
    assert told is not None
    assert (1, WHOLE_CHUNK, 0) not in told[1]
    wire.status(wanted=0)
    told = wire.report(wire.now + 2)
    assert told is not None
    assert (1, WHOLE_CHUNK, 0) in told[1]


def test_a_chunk_passed_over_is_asked_for_while_what_others_lack_is_sent_again() -> None:
    wire = Wire(wanted=(0, 1))
    wire.send(0, range(400), lost=(7,))
    wire.status(StatusFlags.REPEATS, wanted=3)
    told = wire.report(wire.now + 1)
    assert told is not None
    assert (1, WHOLE_CHUNK, 0) in told[1]


def test_to_ask_for_whole_chunks_while_others_get_theirs_is_not_to_ask_in_vain() -> None:
    wire = Wire(wanted=(0, 1))
    for wanted, asked in ((3, 0), (0, 1)):
        wire.status(StatusFlags.REPEATS, wanted=wanted)
        told = wire.report(wire.now + 1 + asked)
        assert told is not None
        assert (1, WHOLE_CHUNK, 0) in told[1]
        assert wire.reception.figures.asked == asked


def test_to_ask_for_the_head_of_a_joiners_first_chunk_while_others_get_theirs_is_not_to_ask_in_vain() -> None:
    wire = Wire(wanted=(0, 1))
    wire.send(0, range(200, 400))
    for wanted, asked in ((3, 0), (0, 1)):
        wire.status(wanted=wanted)
        told = wire.report(wire.now + 1 + asked)
        assert told is not None
        assert {chunk for chunk, block, _ in told[1] if block != WHOLE_CHUNK} == {0}
        assert wire.reception.figures.asked == asked


def test_to_ask_for_repairs_of_a_later_chunk_in_vain_counts_whatever_others_get() -> None:
    wire = Wire(wanted=(0, 1))
    wire.send(0, range(200, 400))
    wire.send(1, range(400), lost=(7,))
    wire.status(wanted=3)
    assert wire.report(wire.now + 1) is not None
    assert wire.reception.figures.asked == 1


def test_a_long_queue_in_the_socket_is_backlog_like_full_memory() -> None:
    wire = Wire()
    wire.send(0, range(400), lost=(7,))
    wire.status()
    memory = wire.reception.slots * wire.reception._slot_bytes
    for queued, told_as in ((0, 0), (memory // 4, 127), (memory, 255)):
        wire.reception.handle_queue(queued)
        wire.now += 1
        told = wire.report(wire.now + 1)
        assert told is not None
        assert told[0].backlog == told_as


def test_what_waited_before_the_first_packet_was_taken_is_no_backlog_until_the_queue_grows() -> None:
    wire = Wire()
    wire.send(0, range(400), lost=(7,))
    wire.status()
    memory = wire.reception.slots * wire.reception._slot_bytes
    for queued, told_as in (
        (memory, 0),
        (memory // 2, 0),
        (memory // 2 + memory // 4, 127),
        (0, 0),
        (memory // 4, 127),
    ):
        wire.reception.handle_queue(queued)
        wire.now += 1
        told = wire.report(wire.now + 1)
        assert told is not None
        assert told[0].backlog == told_as


def test_what_is_bad_is_wanted_again_and_what_came_otherwise_is_not() -> None:
    wire = Wire()
    wire.send(0, range(400))
    ready = wire.reception.poll_ready()
    assert ready is not None
    wire.reception.handle_rejected(0)
    wire.reception.handle_slot(ready.slot)
    assert wire.reception.lacking == 5
    assert len(wire.send(0, range(10))) == 10
    wire.reception.handle_accepted(0)
    assert wire.reception.free_slots == 2
    assert len(wire.send(0, range(10, 20))) == 0
    wire.reception.handle_rejected(0)  # it came another way meanwhile
    assert wire.reception.lacking == 4
    assert wire.reception.figures.rejected == 2


def test_replays_change_nothing() -> None:
    wire = Wire()
    headers = wire.train(0, range(10))
    wire.reception.handle_packets(headers, 0.1)
    assert len(wire.take(headers, 0.2)) == 0
    assert wire.reception.tracker.repeated == 10


def test_a_closing_cast_and_silence_raise_alarms() -> None:
    wire = Wire()
    wire.status(StatusFlags.CLOSING)
    assert wire.reception.poll_alarm() is Alarm.CLOSING
    wire.reception.handle_timer(3.5)
    assert wire.reception.poll_alarm() is Alarm.SILENT
    assert wire.reception.poll_alarm() is None


def test_probes_are_counted_and_old_status_is_ignored() -> None:
    wire = Wire()
    wire.reception.handle_control(Probe(cast_id=7, sequence=2, number=1, left=3).encode(), 0.1)
    assert wire.reception.figures.probes == 1
    wire.sequence = 4
    wire.status(StatusFlags.IDLE)
    wire.sequence = 3
    wire.status()
    assert wire.reception.status is not None
    assert wire.reception.status.sequence == 4


def test_slots_can_be_taken_back_and_figures_are_reported() -> None:
    wire = Wire(slots=4)
    assert wire.reception.poll_free_slot() == 0
    assert wire.reception.poll_free_slot() == 1
    wire.reception.handle_overflow(7)
    wire.reception.handle_rate(5_000_000)
    told = wire.report(2.5)
    assert told is not None
    assert (told[0].overflow, told[0].write_bytes_per_s, told[0].backlog) == (7, 5_000_000, 127)
    wire.reception.slots = 2  # those that were taken back are for others
    told = wire.report(5.0)
    assert told is not None
    assert told[0].backlog == 0
    wire.reception.poll_free_slot()
    wire.reception.poll_free_slot()
    assert wire.reception.poll_free_slot() is None


def test_a_chunk_may_come_to_be_wanted_while_the_cast_runs() -> None:
    wire = Wire(wanted=(0, 1))
    wire.send(2, range(400))
    assert wire.reception.figures.surplus == 400
    assert wire.reception.poll_ready() is None
    wire.reception.handle_wanted(2)
    wire.reception.handle_wanted(2)
    assert wire.reception.lacking == 3
    wire.send(2, range(400))
    ready = wire.reception.poll_ready()
    assert ready is not None
    assert ready.chunk == 2


def test_progress_tells_what_is_arriving_and_how_far_the_sender_is() -> None:
    wire = Wire(slots=2)
    assert wire.reception.progress().position == 0
    wire.send(3, range(44))
    progress = wire.reception.progress()
    assert (progress.arriving, progress.position, progress.repeating) == (frozenset({3}), 3, False)
    wire.send(3, range(44, 400))
    assert wire.reception.progress().arriving == {3}  # whole, and not judged yet
    wire.reception.handle_accepted(3)
    wire.status(StatusFlags.REPEATS)
    progress = wire.reception.progress()
    assert (progress.arriving, progress.repeating, progress.idle) == (frozenset(), True, False)
    wire.status(StatusFlags.IDLE)
    assert wire.reception.progress().idle


def test_a_report_says_whether_there_is_memory_to_wait() -> None:
    wire = Wire()
    for patient in (True, False):
        wire.reception.handle_patience(patient)
        wire.send(0 if patient else 1, range(400), lost=(0,))
        wire.now += 5.0
        told = wire.report(wire.now)
        assert told is not None
        assert (ReportFlags.PATIENT in told[0].flags) is patient


def test_what_is_sent_again_does_not_set_the_position_back() -> None:
    wire = Wire()
    wire.send(3, range(44))
    wire.send(0, range(44))
    assert wire.reception.progress().position == 3
