from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.multicast.proto.layout import Layout
from transports.multicast.proto.repair import HISTORY_BURSTS, MAX_TRACKED_CHUNKS, ChunkRepair, RepairBurst, Repairs

LAYOUT = Layout(400 * 64, 64)  # three blocks of 134, 133, 133


def sent_chunk(last_sequence: int = 400) -> ChunkRepair:
    repair = ChunkRepair(LAYOUT, encoding=0)
    repair.sent_at = last_sequence
    return repair


def ask(repair: ChunkRepair, deficits: dict[int, int], *, as_of: int, place: int = 0, late: bool = False) -> bool:
    blocks = np.array(list(deficits), dtype=np.int64)
    needs = np.array(list(deficits.values()), dtype=np.int64)
    return repair.merge(blocks, needs, as_of=as_of, place=place, late=late)


def send(repair: ChunkRepair, last_sequence: int, limit: int = 44, *, late: bool = False) -> RepairBurst:
    burst = repair.take(limit, late=late)
    repair.note_sent(last_sequence, burst.counts)
    return burst


def test_the_worst_deficit_is_sent_once_as_parity() -> None:
    repair = sent_chunk()
    ask(repair, {0: 2, 2: 1}, as_of=400)
    ask(repair, {0: 3}, as_of=400, place=1)
    burst = send(repair, 404)
    assert list(zip(burst.blocks.tolist(), burst.symbols.tolist(), strict=True)) == [
        (0, 134),
        (2, 133),
        (0, 135),
        (0, 136),
    ]
    assert not repair.due.any()
    assert burst.sole == {1: 1, 0: 1}
    assert repair.repaired


def test_what_is_on_its_way_is_not_sent_again() -> None:
    repair = sent_chunk()
    ask(repair, {0: 3}, as_of=400)
    send(repair, 403)
    ask(repair, {0: 3}, as_of=402, place=1)
    assert not repair.due.any()
    ask(repair, {0: 5}, as_of=402, place=2)
    assert repair.due.tolist() == [2, 0, 0]


def test_repairs_lost_on_the_way_are_sent_fresh() -> None:
    repair = sent_chunk()
    ask(repair, {0: 3}, as_of=400)
    send(repair, 403)
    ask(repair, {0: 1}, as_of=403)
    assert send(repair, 404).symbols.tolist() == [137]


def test_reports_from_before_the_end_of_the_chunk_say_nothing() -> None:
    repair = ChunkRepair(LAYOUT, encoding=0)
    assert not ask(repair, {0: 3}, as_of=400)
    repair.sent_at = 400
    assert not ask(repair, {0: 3}, as_of=399)
    assert not repair.due.any()


def test_a_report_older_than_what_is_remembered_is_stale() -> None:
    repair = sent_chunk()
    for number in range(HISTORY_BURSTS + 1):
        ask(repair, {0: 1}, as_of=400 + number)
        send(repair, 401 + number)
    assert not ask(repair, {0: 3}, as_of=400)
    assert ask(repair, {0: 3}, as_of=401)


def test_after_parity_come_all_symbols_again() -> None:
    repair = sent_chunk()
    symbols: list[int] = []
    for number in range(6):
        ask(repair, {0: 134}, as_of=400 + 100 * number)
        for part in range(4):
            symbols += send(repair, 400 + 100 * number + 25 * (part + 1), 25).symbols.tolist()
    assert symbols[:122] == list(range(134, 256))
    assert sorted(symbols[122:378]) == list(range(256))


def test_just_behind_the_last_parity_come_all_symbols_and_deficits_count_for_more() -> None:
    repair = sent_chunk()
    ask(repair, {0: 122}, as_of=400)
    send(repair, 600, 122)
    ask(repair, {0: 1}, as_of=600)
    assert repair.due[0] == 3
    assert send(repair, 700, 1).symbols.tolist() == [122 * 157 % 256]


@pytest.mark.parametrize(("waits", "part"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("before", [5, 121, 122, 300])
def test_when_a_chunk_was_sent_again_its_parity_is_fresh_again(before: int, waits: bool, part: bool) -> None:
    """For newcomers all of it, from the first on; who waited then, or lacks a part only, may have what was sent."""
    repair, as_of = sent_chunk(), 400
    for count in [*[100] * (before // 100), before % 100]:
        ask(repair, {0: 100}, as_of=as_of)
        as_of += 100
        send(repair, as_of, count)
        repair.due[:] = 0
    if waits:
        ask(repair, {0: 1}, as_of=as_of)
    repair.restart(part=part)
    assert repair.repaired == part
    repair.sent_at = as_of = as_of + 400
    symbols: list[int] = []
    for _ in range(2):
        ask(repair, {0: 61}, as_of=as_of)
        assert repair.due.tolist() == [61, 0, 0]  # no more than is asked for
        as_of += 100
        symbols += send(repair, as_of, 61).symbols.tolist()
    first = before if waits or part else 0
    assert symbols == [134 + (first + number) % 122 for number in range(122)]


def rounds_until_whole(repair: ChunkRepair, have: set[int], *, as_of: int) -> int:
    """How often the holder of these symbols of the first block, of which it lacks some, asks."""
    rounds = 0
    while (lacks := int(repair.k[0]) - len(have)) > 0:
        assert ask(repair, {0: lacks}, as_of=as_of)
        while repair.due.any():
            burst = repair.take(44, late=False)
            as_of += len(burst.blocks)
            repair.note_sent(as_of, burst.counts)
            have |= set(burst.symbols.tolist())
        rounds += 1
    return rounds


@pytest.mark.parametrize("sent_before", [122, 200, 256, 300, 500])
@pytest.mark.parametrize("lacks", [1, 10])
@pytest.mark.parametrize("first", range(0, 256, 15))
def test_who_lost_nearly_all_is_mended_in_a_few_rounds_though_parity_is_used_up(
    sent_before: int, lacks: int, first: int
) -> None:
    """What it has are symbols in a row: all of the parity, or the beginning, or the end of what was sent."""
    repair = sent_chunk()
    as_of = 400
    while sent_before:
        ask(repair, {0: min(sent_before, 100)}, as_of=as_of)
        burst = repair.take(min(sent_before, 100), late=False)
        as_of += len(burst.blocks)
        repair.note_sent(as_of, burst.counts)
        sent_before -= len(burst.blocks)
    repair.due[:] = 0
    have = {(first + number) % 256 for number in range(134 - lacks)}
    assert rounds_until_whole(repair, have, as_of=as_of) <= 5


@pytest.mark.parametrize("again", range(3))
def test_a_report_from_before_the_parity_was_used_up_is_not_answered_twice(again: int) -> None:
    repair = sent_chunk()
    ask(repair, {0: 130}, as_of=400)
    for number in range(3):
        send(repair, 400 + 44 * (number + 1))
    for _ in range(again):
        ask(repair, {0: 130}, as_of=400)
    assert not repair.due.any()


def test_late_members_are_served_apart() -> None:
    repair = sent_chunk()
    ask(repair, {1: 60}, as_of=400, late=True)
    ask(repair, {1: 2}, as_of=400, place=1)
    assert repair.due.tolist() == [0, 2, 0]
    assert len(send(repair, 402).blocks) == 2
    assert repair.late.tolist() == [0, 58, 0]
    burst = send(repair, 446, late=True)
    assert (len(burst.blocks), burst.ahead.tolist()) == (44, [0, 14, 0])


def test_what_only_a_late_member_that_left_asked_for_is_not_sent() -> None:
    repairs = Repairs()
    repairs.start(1, LAYOUT, 0)
    repairs.finish(1, 10)
    for place, deficit in ((3, 90), (4, 5)):
        repairs.merge(1, np.array([0]), np.array([deficit]), as_of=10, place=place, late=True, now=0.0)
    repairs.forget(5)
    assert repairs.any_late  # it had asked for nothing
    repairs.forget(3)
    assert not repairs.any_late
    assert len(repairs.take(1, 44, late=True).blocks) == 0
    repairs.merge(1, np.array([0]), np.array([5]), as_of=11, place=4, late=True, now=0.2)  # it still lacks that
    assert len(repairs.take(1, 44, late=True).blocks) == 5


def test_what_a_member_that_left_asked_for_beyond_others_is_not_sent() -> None:
    repairs = Repairs()
    repairs.start(1, LAYOUT, 0)
    repairs.finish(1, 10)
    for place, deficit in ((3, 90), (4, 5)):
        repairs.merge(1, np.array([0]), np.array([deficit]), as_of=10, place=place, late=False, now=0.0)
    repairs.forget(3)
    assert repairs.pending == 5
    repairs.forget(3)
    assert repairs.pending == 5


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(1, 100), st.integers(0, 60)), max_size=30))
def test_no_report_has_more_sent_than_the_worst_deficit(steps: list[tuple[int, int, int, int]]) -> None:
    repair, sequence, sent = sent_chunk(), 400, np.zeros(3, dtype=np.int64)
    worst = np.zeros(3, dtype=np.int64)
    for place, block, deficit, back in steps:
        # Every report is of the state at the end of the chunk, told again and again.
        del back
        ask(repair, {block: deficit}, as_of=400, place=place)
        worst[block] = max(worst[block], deficit)
        if place == 0:
            burst = repair.take(20, late=False)
            sequence += len(burst.blocks)
            repair.note_sent(sequence, burst.counts)
            sent += burst.counts
        assert (sent + repair.due <= worst).all()


def test_the_longest_unserved_chunk_is_first() -> None:
    repairs = Repairs()
    for chunk in (5, 6):
        repairs.start(chunk, LAYOUT, 1)
        repairs.finish(chunk, 10)
    need = (np.array([0]), np.array([4]))
    assert repairs.merge(6, *need, as_of=10, place=0, late=False, now=1.0)
    assert repairs.merge(5, *need, as_of=10, place=0, late=False, now=2.0)
    assert repairs.oldest(late=False) == (6, 1.0)
    assert repairs.chunks_due(5) == [6, 5]
    assert repairs.pending == 8
    assert len(repairs.take(6, 44, late=False).blocks) == 4
    assert repairs.oldest(late=False) == (5, 2.0)
    repairs.start(5, LAYOUT, 1)
    assert not repairs.any_due


def test_only_so_many_chunks_are_remembered() -> None:
    repairs = Repairs()
    for chunk in range(MAX_TRACKED_CHUNKS + 3):
        repairs.start(chunk, LAYOUT, 0)
    assert repairs.forgotten == 3
    assert 2 not in repairs
    assert 3 in repairs
    assert repairs[3].encoding == 0
    repairs.finish(1, 5)


def test_what_is_sent_unasked_is_charged_to_nobody() -> None:
    repairs = Repairs()
    repairs.start(1, LAYOUT, 0)
    repairs.finish(1, 10)
    repairs.add_all(1, 2, 0.0)
    burst = repairs.take(1, 44, late=False)
    assert burst.counts.tolist() == [2, 2, 2]
    assert burst.sole == {}
    assert not repairs.any_late


def test_spare_symbols_go_with_the_last_that_are_due_and_are_charged_to_nobody() -> None:
    repairs = Repairs()
    repairs.start(1, LAYOUT, 0)
    repairs.finish(1, 10)
    blocks, deficits = np.array([0, 2]), np.array([3, 1])
    repairs.merge(1, blocks, deficits, as_of=11, place=0, late=False, now=0.0)
    first = repairs.take(1, 2, late=False, spare=2)
    assert (first.counts.tolist(), first.sole) == ([1, 0, 1], {0: 2}), "they do not fit beside what is due"
    last = repairs.take(1, 44, late=False, spare=2)
    assert (last.counts.tolist(), last.sole) == ([4, 0, 0], {0: 2}), "what was not asked for is not mended"
    assert not repairs.any_due


def test_a_chunk_that_is_no_longer_remembered_is_not_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.multicast.proto.repair.MAX_TRACKED_CHUNKS", 2)
    repairs = Repairs()
    repairs.start(0, LAYOUT, 0)
    repairs.finish(0, 400)
    for late in (True, False):
        repairs.merge(0, np.array([0]), np.array([1]), as_of=400, place=0, late=late, now=1.0)
    assert repairs.any_due
    assert repairs.any_late
    repairs.start(1, LAYOUT, 0)
    repairs.start(2, LAYOUT, 0)
    assert (repairs.any_due, repairs.any_late, repairs.forgotten) == (False, False, 1)
    assert repairs.oldest(late=True) is None


def test_the_chunk_sent_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.multicast.proto.repair.MAX_TRACKED_CHUNKS", 2)
    repairs = Repairs()
    for chunk in (0, 1, 0, 2):
        repairs.start(chunk, LAYOUT, 0)
    assert [chunk in repairs for chunk in (0, 1, 2)] == [True, False, True]


def test_who_was_late_before_a_chunk_was_sent_again_takes_nothing_with_it() -> None:
    repair = sent_chunk()
    ask(repair, {0: 3}, as_of=400, place=0, late=True)
    repair.restart()
    repair.sent_at = 800
    ask(repair, {0: 3}, as_of=800, place=1, late=True)
    repair.forget(0)
    assert repair.late.tolist() == [3, 0, 0]


def test_what_a_member_that_became_late_alone_asked_for_is_sent_after_all_else() -> None:
    repairs = Repairs()
    for chunk in (1, 2):
        repairs.start(chunk, LAYOUT, 0)
        repairs.finish(chunk, 10)
    for chunk, place, deficit in ((1, 3, 90), (1, 4, 5), (2, 3, 7)):
        repairs.merge(chunk, np.array([0]), np.array([deficit]), as_of=10, place=place, late=False, now=0.0)
    repairs.defer(5)  # it had asked for nothing
    assert (repairs.pending, repairs.any_late) == (97, False)
    repairs.defer(3)
    assert (repairs.pending, repairs.oldest(late=False)) == (5, (1, 0.0))
    burst = repairs.take(1, 200, late=False)
    assert (len(burst.blocks), burst.sole) == (5, {})
    assert not repairs.any_due
    assert [len(repairs.take(chunk, 200, late=True).blocks) for chunk in (1, 2)] == [85, 7]
    assert not repairs.any_late


def test_what_became_late_goes_with_the_member_and_not_with_others() -> None:
    repairs = Repairs()
    repairs.start(1, LAYOUT, 0)
    repairs.finish(1, 10)
    repairs.merge(1, np.array([0]), np.array([9]), as_of=10, place=3, late=False, now=0.0)
    repairs.defer(3)
    repairs.forget(4)
    assert repairs.any_late
    repairs.forget(3)
    assert not repairs.any_late
