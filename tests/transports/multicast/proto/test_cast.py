from __future__ import annotations

import numpy as np
import pytest

from transports.multicast.proto.burst import Burst
from transports.multicast.proto.cast import Cast
from transports.multicast.proto.limits import SEQUENCE_LIMIT, WHOLE_CHUNK
from transports.multicast.proto.packets import Status, StatusFlags, kind_of
from transports.multicast.proto.rate import RateLimits
from transports.multicast.proto.reports import Report, entries_of

KEY = bytes(range(32))
SYMBOL = 64
ROWS = 100
"""Symbols of each chunk: one block."""
RATE = 1e6
NARROW = RateLimits(cap_bytes_per_s=RATE)


def make_cast(chunks: int = 4, *, limits: RateLimits = NARROW, **more: int) -> Cast:
    return Cast(
        cast_id=7,
        chunks=chunks,
        stored=lambda chunk: (ROWS * SYMBOL, chunk % 2),
        symbol_bytes=SYMBOL,
        limits=limits,
        now=0.0,
        **more,
    )


def wants(*chunks: int, count: int = 4) -> np.ndarray:
    flags = np.zeros(count, dtype=np.bool_)
    flags[list(chunks or range(count))] = True
    return flags


def drain(
    cast: Cast, now: float = 0.0, *, stop: float = 60.0, bursts: int = 10_000
) -> tuple[list[Burst], list[Status], float]:
    """Everything sent until the cast rests or `bursts` are out; the time then."""
    sent, said = [], []
    while len(sent) < bursts and now < stop:
        if (burst := cast.poll_burst(now)) is not None:
            sent.append(burst)
        while (control := cast.poll_control(now)) is not None:
            if kind_of(control.data).name == "STATUS":
                said.append(Status.parse(control.data))
        if said and StatusFlags.IDLE in said[-1].flags and burst is None:
            break
        now = max(now, min(cast.poll_timer(), stop))
    return sent, said, now


def ask(cast: Cast, *entries: tuple[int, int, int], number: int, as_of: int, member: int = 1, now: float = 1.0) -> None:
    columns = [np.array([entry[n] for entry in entries], dtype=np.int64) for n in range(3)]
    lacks = entries_of(*columns)
    report = Report(cast_id=7, member=member, number=number, as_of=as_of, span=0, received=0, overflow=0, entries=lacks)
    cast.handle_report(report.encode(KEY), now)


def rows_of(bursts: list[Burst]) -> list[tuple[int, int]]:
    """(chunk, row) of every original, in the order of sending."""
    originals = [(burst.chunk, burst.first_row, len(burst)) for burst in bursts if burst.first_row is not None]
    return [(chunk, row) for chunk, first, count in originals for row in range(first, first + count)]


def test_numbers_of_what_could_not_be_read_go_to_what_is_sent_next() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    sent, _, now = drain(cast, bursts=3)
    before, sequence = (cast.totals.packets, cast.totals.originals, cast.totals.wire_bytes), cast.sequence
    now = cast.poll_timer()
    burst = cast.poll_burst(now)
    assert burst is not None
    assert burst.first_sequence == sequence + 1
    cast.handle_unread(burst, for_good=False)
    assert cast.sequence == sequence
    assert (cast.totals.packets, cast.totals.originals, cast.totals.wire_bytes) == before
    more, _, now = drain(cast, now)
    assert more[0].first_sequence == sequence + 1
    rows = rows_of([*sent, *more])
    missing = [(burst.chunk, row) for row in range(burst.first_row or 0, (burst.first_row or 0) + len(burst))]
    assert sorted([*rows, *missing]) == [(chunk, row) for chunk in range(4) for row in range(ROWS)]
    ask(cast, (burst.chunk, 0, len(burst)), number=1, as_of=cast.sequence, now=now)
    repairs, _, _ = drain(cast, now)
    assert sum(len(repair) for repair in repairs) == len(burst)  # nothing counts as sent that was not


def test_of_a_chunk_that_cannot_be_read_nothing_more_is_tried_and_the_next_one_follows() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    tried: list[int] = []
    sent: list[Burst] = []
    now = 0.0
    while now < 60 and len(rows_of(sent)) < 3 * ROWS:
        if (burst := cast.poll_burst(now)) is not None and burst.chunk == 1:
            tried.append(len(burst))
            cast.handle_unread(burst, for_good=True)
        elif burst is not None:
            sent.append(burst)
        while cast.poll_control(now) is not None:
            pass
        now = max(now, cast.poll_timer())
    assert len(tried) == 1
    assert rows_of(sent) == [(chunk, row) for chunk in (0, 2, 3) for row in range(ROWS)]
    assert cast.totals.packets == len(rows_of(sent)) + cast.totals.repairs


@pytest.mark.parametrize("of_originals", [True, False])
def test_what_lacks_of_what_could_not_be_read_last_is_repaired_as_soon_as_it_is_asked_for(of_originals: bool) -> None:
    cast = make_cast(1)
    cast.add_member(1, key=KEY, wanted=wants(0, count=1), now=0.0)
    now, number = 0.0, 1
    if not of_originals:
        _, _, now = drain(cast)
        ask(cast, (0, 0, 60), number=number, as_of=cast.sequence, now=now)
        number += 1
    while True:
        now = max(now, cast.poll_timer())
        while cast.poll_control(now) is not None:
            pass
        burst = cast.poll_burst(now)
        if burst is not None and (burst.symbols[-1] == ROWS - 1 if of_originals else burst.first_row is None):
            break
    sequence = cast.sequence - len(burst)
    cast.handle_unread(burst, for_good=False)
    assert cast.sequence == sequence
    ask(cast, (0, 0, len(burst)), number=number, as_of=sequence, now=now)
    again, _, later = drain(cast, now, bursts=1)
    assert again[0].first_row is None
    assert later - now < 1.0


def test_a_repair_that_could_not_be_read_is_none() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    _, _, now = drain(cast)
    repairs, sequence = cast.totals.repairs, cast.sequence
    ask(cast, (0, 0, 5), number=1, as_of=sequence, now=now)
    now = max(now, cast.poll_timer())
    while (burst := cast.poll_burst(now)) is None:
        now += 0.01
    sequence = burst.first_sequence - 1
    assert burst.first_row is None
    cast.handle_unread(burst, for_good=True)
    assert (cast.totals.repairs, cast.sequence) == (repairs, sequence)


def test_a_second_class_begins_anew_when_the_first_is_done() -> None:
    cast = make_cast()
    for member in (1, 2):
        cast.add_member(member, key=KEY, wanted=wants(), now=0.0)
        _, said, _ = drain(cast)
        assert not any(StatusFlags.REPEATS in status.flags for status in said)
        cast.handle_done(member)


def test_whom_a_cast_after_a_rest_has_not_heard_yet_is_not_sent_the_whole_rate() -> None:
    wide = RateLimits(cap_bytes_per_s=125e6, adaptive=True)
    cast = make_cast(chunks=4000, limits=wide)
    cast.add_member(1, key=KEY, wanted=wants(count=4000), now=0.0)
    now = 0.0
    for number in range(1, 30):
        _, _, now = drain(cast, now, stop=number * 0.1)
        came = cast.sequence
        report = Report(cast_id=7, member=1, number=number, as_of=came, span=came, received=came, overflow=0)
        cast.handle_report(report.encode(KEY), now)
    assert cast.rate.rate_bytes_per_s == wide.cap_bytes_per_s
    cast.handle_done(1)
    _, _, now = drain(cast, now)
    cast.add_member(2, key=KEY, wanted=wants(count=4000), now=now)
    assert cast.rate.rate_bytes_per_s < wide.cap_bytes_per_s
    assert cast.rate.limited_by == "start"


def test_who_is_nearly_done_does_not_wait_for_what_a_joiner_lacks() -> None:
    cast = make_cast(chunks=40)
    cast.add_member(1, key=KEY, wanted=wants(count=40), now=0.0)
    _, said, now = drain(cast)
    cast.add_member(2, key=KEY, wanted=wants(count=40), now=now)
    ask(cast, (30, WHOLE_CHUNK, 0), number=1, as_of=said[-1].sequence, now=now)
    bursts, _, _ = drain(cast, now, bursts=40)
    assert next(row[0] for row in rows_of(bursts)) == 30


def test_what_is_sent_first_for_who_lacks_a_head_is_not_sent_again_for_a_joiner() -> None:
    cast = make_cast(chunks=40)
    cast.add_member(1, key=KEY, wanted=wants(count=40), now=0.0, probe=False)
    _, _, now = drain(cast, bursts=2)
    cast.add_member(2, key=KEY, wanted=wants(count=40), now=now, probe=False)
    bursts, _, now = drain(cast, now, bursts=100)
    missed = rows_of(bursts)[0][1]
    cast.add_member(3, key=KEY, wanted=wants(count=40), now=now, probe=False)
    bursts, _, now = drain(cast, now)
    sent = rows_of(bursts)
    start = sent.index((39, ROWS - 1)) + 1
    assert sent[start : start + missed] == [(0, row) for row in range(missed)]
    assert sorted(row for chunk, row in sent if chunk == 0) == list(range(ROWS)), "nothing of it is sent twice"


def test_without_members_nothing_is_sent_and_nothing_is_waited_for() -> None:
    cast = make_cast()
    assert cast.poll_burst(0.0) is None
    assert cast.poll_control(0.0) is None
    assert cast.poll_timer() == float("inf")


def test_every_chunk_somebody_lacks_is_sent_once_in_order() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(0, 2, 3), now=0.0)
    assert cast.upcoming(2) == [0, 2]
    bursts, said, _ = drain(cast)
    assert rows_of(bursts) == [(chunk, row) for chunk in (0, 2, 3) for row in range(ROWS)]
    assert [burst.encoding for burst in bursts[:1]] == [0]
    assert cast.totals.packets == cast.totals.originals == 3 * ROWS
    assert StatusFlags.IDLE in said[-1].flags
    assert said[-1].sequence == cast.sequence


def test_repairs_beyond_what_is_remembered_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.multicast.proto.repair.MAX_TRACKED_CHUNKS", 2)
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    drain(cast)
    assert cast.totals.repairs_forgotten == 2


def test_a_report_from_before_its_member_joined_is_refused() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    _, said, now = drain(cast)
    ask(cast, (1, 0, 2), number=40, as_of=said[-1].sequence, now=now)
    cast.remove_member(1)
    cast.add_member(1, key=KEY, wanted=wants(), now=now)
    ask(cast, (1, 0, 2), number=41, as_of=said[-1].sequence, now=now)
    assert cast.totals.reports_refused == 1
    _, said, now = drain(cast, now)
    ask(cast, (1, 0, 2), number=1, as_of=said[-1].sequence, now=now)
    assert (cast.totals.reports, cast.totals.reports_refused) == (2, 1)


def test_every_packet_of_any_kind_has_its_own_number() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    now, numbers = 0.0, []
    for _ in range(400):
        if (burst := cast.poll_burst(now)) is not None:
            numbers += range(burst.first_sequence, burst.first_sequence + len(burst))
        while (control := cast.poll_control(now)) is not None:
            numbers.append(control.sequence)
        now = min(cast.poll_timer(), 10.0)
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_rate_counts_every_byte_of_the_wire() -> None:
    cast = make_cast(40)
    cast.add_member(1, key=KEY, wanted=wants(count=40), now=0.0)
    _, _, now = drain(cast, bursts=100)
    assert cast.totals.wire_bytes == pytest.approx(RATE * now, rel=0.05)


def test_a_repair_is_sent_before_the_next_chunk_once_reports_were_gathered() -> None:
    cast = make_cast(20)
    cast.add_member(1, key=KEY, wanted=wants(count=20), now=0.0, probe=False)
    bursts: list[Burst] = []
    now = 0.0
    while len(rows_of(bursts)) <= ROWS:
        more, _, now = drain(cast, now, bursts=1)
        bursts += more
    ask(cast, (0, 0, 3), number=1, as_of=cast.sequence, now=now)
    after, _, _ = drain(cast, now)
    repair = next(burst for burst in after if burst.first_row is None)
    assert (repair.chunk, repair.symbols.tolist()) == (0, [100, 101, 102])
    assert after.index(repair) < len(after) - 2
    assert after.index(repair) > 2, "others may ask for the same meanwhile"
    assert cast.totals.repairs - cast.totals.unasked == 3


@pytest.mark.parametrize(("every_s", "unasked"), [(0.0, 0), (0.02, 1)], ids=["the wire is the limit", "the sender is"])
def test_a_sender_too_slow_for_its_rate_sends_parity_with_each_chunk(every_s: float, unasked: int) -> None:
    cast = make_cast(40)
    cast.add_member(1, key=KEY, wanted=wants(count=40), now=0.0, probe=False)
    now, bursts = 0.0, []
    while cast.totals.packets < 30 * ROWS:
        if (burst := cast.poll_burst(now)) is not None:
            bursts.append(burst)
            if len(bursts) == 1:
                told = Report(cast_id=7, member=1, number=1, as_of=1, span=1, received=1, overflow=0)
                cast.handle_report(told.encode(KEY), now)
                cast.members.get(1).loss = 0.01  # type: ignore[union-attr]  # what many reports come to
        while cast.poll_control(now) is not None:
            pass
        now = max(now + every_s, cast.poll_timer())
    later = [burst for burst in bursts if burst.chunk >= 20]
    parity = [burst for burst in later if burst.first_row is None]
    assert bool(parity) == bool(unasked)
    assert cast.totals.unasked == cast.totals.repairs
    for burst in parity:  # right behind the last original of its chunk
        before = bursts[bursts.index(burst) - 1]
        assert (before.chunk, int(before.symbols[-1])) == (burst.chunk, ROWS - 1)
        assert burst.symbols.tolist() == [*range(ROWS, ROWS + len(burst))]


def test_the_end_is_repaired_at_once() -> None:
    cast = make_cast(1)
    cast.add_member(1, key=KEY, wanted=wants(count=1), now=0.0)
    _, _, now = drain(cast)
    ask(cast, (0, 0, 2), number=1, as_of=cast.sequence, now=now)
    assert cast.poll_timer() <= now + 0.001
    bursts, said, _ = drain(cast, now)
    assert [burst.symbols.tolist() for burst in bursts] == [[100, 101]]
    assert StatusFlags.IDLE in said[-1].flags


@pytest.mark.parametrize(("chunks", "spare"), [(1, [102]), (2, [])])
def test_repairs_at_the_end_come_with_spare_symbols_for_what_gets_lost(chunks: int, spare: list[int]) -> None:
    cast = make_cast(chunks)
    cast.add_member(1, key=KEY, wanted=wants(count=chunks), now=0.0)
    now, sent = 0.0, 0
    while sent < ROWS:  # of two, one is still wanted
        bursts, _, now = drain(cast, now, bursts=1)
        sent += len(rows_of(bursts))
    member = cast.members.get(1)
    assert member is not None
    ask(cast, (0, 0, 2), number=1, as_of=cast.sequence, now=now)
    member.loss = 0.05
    bursts, _, _ = drain(cast, now + 1.0, bursts=1)
    assert [burst.symbols.tolist() for burst in bursts] == [[100, 101, *spare]]


def test_a_joiner_only_adds_what_it_missed() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    first: list[Burst] = []
    now = 0.0
    while len(rows_of(first)) < ROWS + 20:
        more, _, now = drain(cast, now, bursts=1)
        first += more
    half = len(rows_of(first)) - ROWS
    cast.add_member(2, key=KEY, wanted=wants(), now=now)
    bursts, _, _ = drain(cast, now)
    sent = rows_of(first) + rows_of(bursts)
    assert sent[: 4 * ROWS] == [(chunk, row) for chunk in range(4) for row in range(ROWS)]
    assert sent[4 * ROWS :] == [(0, row) for row in range(ROWS)] + [(1, row) for row in range(half)]


def test_what_a_member_gets_elsewhere_is_not_sent_unless_others_lack_it() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    cast.add_member(2, key=KEY, wanted=wants(3), now=0.0)
    cast.handle_withdrawn(1, wants(1, 3))
    cast.handle_withdrawn(9, wants(2))
    bursts, _, now = drain(cast)
    assert list(dict.fromkeys(chunk for chunk, _ in rows_of(bursts))) == [0, 2, 3]
    cast.handle_withdrawn(1, wants(0))  # it was sent already: nothing changes
    assert drain(cast, now)[0] == []


def test_what_does_not_come_from_elsewhere_is_sent_whole_though_its_head_alone_was_lacking() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    first, _, now = drain(cast, bursts=1)
    cast.add_member(2, key=KEY, wanted=wants(), now=now)  # lacks the head of chunk 0
    cast.handle_withdrawn(2, wants(0))
    cast.handle_again(2, wants(0), now)
    cast.handle_again(9, wants(0), now)
    assert len(rows_of(first)) < ROWS
    bursts, _, now = drain(cast, now)
    assert rows_of(bursts)[-ROWS:] == [(0, row) for row in range(ROWS)]
    cast.handle_again(2, wants(0, 1), now)
    bursts, _, now = drain(cast, now)
    assert sorted(rows_of(bursts)) == [(chunk, row) for chunk in (0, 1) for row in range(ROWS)]


def test_nothing_is_sent_again_for_who_was_moved() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(0), now=0.0)
    cast.handle_moved(1)
    cast.handle_again(1, wants(3), 0.0)
    assert drain(cast)[0] == []


def test_who_joined_for_nothing_may_want_something_later() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(0), now=0.0)
    drain(cast, bursts=1)
    for member in range(2, 12):  # some of them beyond the first byte of the books, while a chunk is being sent
        cast.add_member(member, key=KEY, wanted=np.zeros(4, dtype=np.bool_), now=0.1)
        cast.handle_withdrawn(member, wants())
    assert cast.members.lacking == 1
    cast.handle_again(11, wants(2), 0.2)
    bursts, _, now = drain(cast, 0.2)
    assert [row for row in rows_of(bursts) if row[0] == 2] == [(2, row) for row in range(ROWS)]
    ask(cast, (2, 0, 3), number=1, as_of=cast.sequence, member=11, now=now)
    bursts, _, _ = drain(cast, now)
    assert sum(len(burst) for burst in bursts) >= 3


def test_who_joins_before_the_first_row_misses_nothing() -> None:
    cast = make_cast()
    for member in (1, 2):
        cast.add_member(member, key=KEY, wanted=wants(), now=0.0)
    bursts, _, _ = drain(cast)
    assert len(rows_of(bursts)) == 4 * ROWS


def test_nothing_is_sent_for_who_left_is_done_or_was_moved() -> None:
    for leave in (Cast.remove_member, Cast.handle_done, Cast.handle_moved):
        cast = make_cast()
        cast.add_member(1, key=KEY, wanted=wants(0), now=0.0)
        cast.add_member(2, key=KEY, wanted=wants(3), now=0.0)
        leave(cast, 2)
        leave(cast, 99)
        assert {chunk for chunk, _ in rows_of(drain(cast)[0])} == {0}


def test_the_last_one_leaving_stops_the_chunk_in_progress() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    _, _, now = drain(cast, bursts=1)
    cast.handle_done(1)
    assert drain(cast, now, stop=now + 1)[0] == []
    cast.add_member(2, key=KEY, wanted=wants(0), now=now)
    assert len(rows_of(drain(cast, now)[0])) == ROWS


def test_a_rest_is_announced_ever_more_rarely_and_ends_when_all_are_done() -> None:
    cast = make_cast(1)
    cast.add_member(1, key=KEY, wanted=wants(count=1), now=0.0)
    _, _, now = drain(cast)
    said = 0
    while now < 20.0:
        said += cast.poll_control(now) is not None
        now = max(now + 1e-6, cast.poll_timer())
    assert 30 < said < 60
    cast.handle_done(1)
    assert cast.poll_timer() == float("inf")


def test_a_chunk_nothing_arrived_of_is_sent_again_whole() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    _, _, now = drain(cast)
    ask(cast, (2, WHOLE_CHUNK, 0), number=1, as_of=cast.sequence, now=now)
    bursts, said, _ = drain(cast, now)
    assert rows_of(bursts) == [(2, row) for row in range(ROWS)]
    assert cast.totals.chunks_again == 1
    assert StatusFlags.REPEATS in said[-1].flags


def test_what_makes_no_sense_wakes_nobody() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    _, _, now = drain(cast)
    cast.handle_report(b"\x14" * 100, now)
    ask(cast, (9, 0, 1), (0, 7, 1), number=1, as_of=cast.sequence, now=now)
    assert drain(cast, now, stop=now + 1)[0] == []
    assert (cast.totals.reports_refused, cast.totals.entries_refused) == (1, 2)


def test_joining_again_replaces_what_was_wanted() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    cast.handle_moved(1)
    cast.add_member(1, key=KEY, wanted=wants(3), now=0.0)
    assert {chunk for chunk, _ in rows_of(drain(cast)[0])} == {3}
    assert len(cast.members) == 1


def test_closing_is_said_even_at_rest() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(0), now=0.0)
    _, _, now = drain(cast)
    cast.handle_done(1)
    cast.handle_closing(now)
    control = cast.poll_control(now)
    assert control is not None
    assert StatusFlags.CLOSING in Status.parse(control.data).flags


def test_a_share_of_the_budget_slows_the_pace() -> None:
    cast = make_cast(40)
    cast.add_member(1, key=KEY, wanted=wants(count=40), now=0.0)
    cast.handle_share(RATE / 4)
    _, _, now = drain(cast, bursts=40)
    assert cast.totals.wire_bytes == pytest.approx(RATE / 4 * now, rel=0.05)
    assert cast.rate.limited_by == "share"


def test_a_cast_ends_before_its_numbers_do() -> None:
    cast = make_cast(first_sequence=SEQUENCE_LIMIT - 10)
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    assert cast.exhausted
    assert cast.poll_burst(0.0) is None
    assert cast.poll_control(0.0) is None


def test_mistakes_of_the_caller_fail_loudly() -> None:
    with pytest.raises(ValueError, match="want-map"):
        make_cast().add_member(1, key=KEY, wanted=wants(count=5), now=0.0)
    with pytest.raises(ValueError, match="symbol"):
        Cast(cast_id=1, chunks=1, stored=lambda _: (1, 0), symbol_bytes=65, limits=RateLimits(cap_bytes_per_s=1), now=0)


def order_after_late(cast: Cast, chunks: int, *joiners: int) -> list[tuple[int, bool]]:
    """(chunk, repair?) in turn, once a late member lacks 60 symbols of the last four each and `joiners` everything."""
    for member in (1, 2):
        cast.add_member(member, key=KEY, wanted=wants(count=chunks), now=0.0)
    late = cast.members.get(1)
    assert late is not None
    _, said, now = drain(cast)
    late.lane = "late"
    lacks = [(chunk, 0, 60) for chunk in range(chunks - 4, chunks)]
    ask(cast, *lacks, number=1, as_of=said[-1].sequence, now=now)
    for joiner in joiners:
        cast.add_member(joiner, key=KEY, wanted=wants(count=chunks), now=now)
    bursts, _, _ = drain(cast, now)
    kinds = [(burst.chunk, burst.first_row is None) for burst in bursts]
    return [kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] != kind]


def test_late_repairs_go_before_most_of_what_is_sent_again_for_one_joiner() -> None:
    """A chunk of a hundred rows, then up to eight times as many symbols of repairs."""
    again, late = False, True
    order = order_after_late(make_cast(12), 12, 3)
    assert order[:7] == [(0, again), (8, late), (9, late), (10, late), (11, late), (1, again), (2, again)]


def test_what_many_or_nearly_done_members_wait_for_goes_before_late_repairs() -> None:
    assert order_after_late(make_cast(12), 12, 3, 4)[:8] == [(chunk, False) for chunk in range(8)]
    assert order_after_late(make_cast(4), 4, 3) == [(chunk, False) for chunk in range(4)]


@pytest.mark.parametrize("goes", ["withdraws", "leaves", "moves"])
def test_when_the_last_that_waited_goes_another_way_the_others_hear_at_once_that_nothing_more_comes(goes: str) -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0, probe=False)
    cast.add_member(2, key=KEY, wanted=wants(0), now=0.0, probe=False)
    drain(cast, bursts=3)
    drain(cast, 0.5, bursts=1)  # says where it stands, and would again in a tenth of a second
    if goes == "withdraws":
        cast.handle_withdrawn(1, wants())
    elif goes == "leaves":
        cast.remove_member(1)
    else:
        cast.handle_moved(1)
    cast.handle_withdrawn(2, wants())
    _, said, now = drain(cast, 0.5, stop=0.55)
    assert [StatusFlags.IDLE in status.flags for status in said][-1:] == [True]
    assert now < 0.55


def test_who_gets_the_place_of_a_member_that_left_does_not_pay_for_what_that_one_asked_for() -> None:
    cast = make_cast()
    for member in (1, 2):
        cast.add_member(member, key=KEY, wanted=wants(), now=0.0, probe=False)
    _, _, now = drain(cast)
    ask(cast, (3, WHOLE_CHUNK, 0), number=1, as_of=cast.sequence, now=now)
    cast.remove_member(1)
    cast.add_member(3, key=KEY, wanted=wants(0), now=now, probe=False)
    ask(cast, (3, WHOLE_CHUNK, 0), number=1, as_of=cast.sequence, member=2, now=now)
    drain(cast, now)
    charged = {member.id: member.sole_packets for member in cast.members}
    assert charged == {2: ROWS, 3: 0}


def test_who_says_anew_what_it_lacks_lacks_all_of_it_though_it_had_a_part() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0, probe=False)
    _, _, now = drain(cast, bursts=2)
    cast.add_member(2, key=KEY, wanted=wants(0), now=now, probe=False)  # of chunk 0 it lacks the head
    while cast.totals.originals <= ROWS:
        _, _, now = drain(cast, now, bursts=1)
    cast.add_member(2, key=KEY, wanted=wants(0), now=now, probe=False)  # it could not keep the rest
    assert rows_of(drain(cast, now)[0])[-ROWS:] == [(0, row) for row in range(ROWS)]


def test_who_joins_while_a_head_is_sent_alone_lacks_the_whole_chunk() -> None:
    cast = make_cast(chunks=40)
    cast.add_member(1, key=KEY, wanted=wants(count=40), now=0.0, probe=False)
    _, _, now = drain(cast, bursts=4)
    cast.add_member(2, key=KEY, wanted=wants(0, count=40), now=now, probe=False)
    while cast.totals.chunks < 20:
        _, _, now = drain(cast, now, bursts=1)
    cast.add_member(3, key=KEY, wanted=wants(count=40), now=now, probe=False)
    bursts: list[Burst] = []
    while not any(chunk == 0 for chunk, _ in rows_of(bursts)):
        bursts, _, now = drain(cast, now, bursts=1)
    cast.add_member(4, key=KEY, wanted=wants(0, count=40), now=now, probe=False)
    cast.remove_member(3)
    bursts, _, now = drain(cast, now)
    assert [row for chunk, row in rows_of(bursts) if chunk == 0][-ROWS:] == list(range(ROWS))


def test_nothing_of_who_left_is_remembered() -> None:
    cast = make_cast()
    for member in (1, 2):
        cast.add_member(member, key=KEY, wanted=wants(), now=0.0, probe=False)
    drain(cast)
    cast.remove_member(1)
    watch = cast._demotion
    tables = (watch._since, watch._excused_until, watch._late_since, watch._late_above, watch._moved_at, watch._cost_at)
    assert {member for table in tables for member in table} == {2}


def test_control_packets_are_paid_for_too() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=0.0)
    cast.poll_burst(0.0)
    before, sent = cast.poll_timer(), cast.totals.wire_bytes
    while (control := cast.poll_control(0.0)) is not None:
        sent += len(control.data) + 8 + 42
    assert cast.totals.wire_bytes == sent
    assert cast._pace.ready_at() > before


def test_time_in_which_nobody_was_there_is_not_caught_up_when_somebody_joins() -> None:
    cast = make_cast()
    cast.add_member(1, key=KEY, wanted=wants(), now=10.0, probe=False)
    cast.poll_burst(10.0)
    assert cast._pace.ready_at() > 10.0


def test_who_comes_back_is_served_and_heard_as_before() -> None:
    cast = make_cast()
    for member in (1, 2):
        cast.add_member(member, key=KEY, wanted=wants(), now=0.0, probe=False)
    cast.handle_moved(1)
    cast._demotion._late_since[1] = 0.0
    cast.add_member(1, key=KEY, wanted=wants(0), now=0.0, probe=False)
    _, _, now = drain(cast)
    before = cast.totals.repairs
    ask(cast, (0, 0, 3), number=1, as_of=cast.sequence, now=now)
    drain(cast, now)
    assert cast.totals.repairs - before == 3
    assert 1 not in cast._demotion._late_since


def test_what_two_asked_for_is_charged_to_neither() -> None:
    cast = make_cast()
    for member in (1, 2):
        cast.add_member(member, key=KEY, wanted=wants(), now=0.0, probe=False)
    _, _, now = drain(cast)
    for member in (1, 2):
        ask(cast, (3, WHOLE_CHUNK, 0), number=1, as_of=cast.sequence, member=member, now=now)
    sent = cast.totals.originals
    drain(cast, now)
    assert cast.totals.originals == sent + ROWS
    assert [member.sole_packets for member in cast.members] == [0, 0]


def test_what_a_member_asked_for_before_it_was_late_is_sent_after_what_others_lack() -> None:
    cast = make_cast()
    for member in (1, 2, 3):
        cast.add_member(member, key=KEY, wanted=wants(), now=0.0, probe=False)
    _, _, now = drain(cast, bursts=1)
    while cast.upcoming(1) == [0]:
        _, _, now = drain(cast, now, bursts=1)
    ask(cast, (0, 0, 90), number=1, as_of=cast.sequence, member=2, now=now)
    flooded = cast.members.get(2)
    assert flooded is not None
    flooded.loss, flooded.span = 0.7, 10_000
    bursts, _, _ = drain(cast, now + 1.0)
    late = [burst.first_row is None for burst in bursts]
    assert late == sorted(late)
    assert sum(len(burst) for burst in bursts if burst.first_row is None) >= 90


def test_nothing_is_sent_any_more_for_who_is_moved_by_a_verdict() -> None:
    cast = make_cast()
    for member in (1, 3):
        cast.add_member(member, key=KEY, wanted=wants(0, 1, 2), now=0.0, probe=False)
    cast.add_member(2, key=KEY, wanted=wants(), now=0.0, probe=False)
    lossy = cast.members.get(2)
    assert lossy is not None
    lossy.loss, lossy.span, lossy.number = 0.7, 10_000, 1
    for now in (0.0, 6.0):
        assert cast.poll_burst(now) is not None
    assert [event.lane for event in iter(cast.poll_event, None)] == ["late", "unicast"]
    assert {chunk for chunk, _ in rows_of(drain(cast, 6.0)[0])} == {0, 1, 2}
