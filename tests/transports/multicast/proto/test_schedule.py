from __future__ import annotations

import numpy as np

from transports.multicast.proto.schedule import FAIR_TURN, LATE_TIMES, Schedule


def test_nobody_lacks_anything_means_nothing_is_sent() -> None:
    assert Schedule(np.zeros(5, dtype=np.int32)).take() is None


def taken(schedule: Schedule, counts: np.ndarray, most: int = 100) -> list[int]:
    order = []
    while len(order) < most and (chunk := schedule.take()) is not None:
        counts[chunk] = 0
        order.append(chunk)
    return order


def test_the_first_pass_is_in_order_and_skips_what_nobody_lacks() -> None:
    counts = np.array([8, 0, 9, 9, 8], dtype=np.int32)
    schedule = Schedule(counts)
    assert schedule.peek(3) == [0, 2, 3]
    assert taken(schedule, counts) == [0, 2, 3, 4]


def test_in_the_first_pass_too_who_lacks_little_does_not_wait_for_what_a_newcomer_alone_lacks() -> None:
    counts = np.array([1, 1, 1, 3, 1, 2, 3], dtype=np.int32)
    schedule = Schedule(counts)
    assert schedule.peek(9) == [3, 5, 6, 0, 1, 2, 4]
    assert taken(schedule, counts) == [3, 5, 6, 0, 1, 2, 4]


def test_what_was_sent_before_does_not_say_what_many_of_the_others_is() -> None:
    counts = np.ones(5, dtype=np.int32)
    schedule = Schedule(counts)
    assert taken(schedule, counts, 2) == [0, 1]
    counts[:] = [9, 9, 1, 1, 2]
    assert schedule.peek(5) == [4, 2, 3, 0, 1]
    assert taken(schedule, counts) == [4, 2, 3, 0, 1]


def test_the_pointer_goes_on_where_it_stood() -> None:
    counts = np.array([1, 1, 1, 1], dtype=np.int32)
    schedule = Schedule(counts)
    assert taken(schedule, counts, 2) == [0, 1]
    counts[:2] = 1  # a joiner
    assert schedule.peek(4) == [2, 3, 0, 1]
    assert taken(schedule, counts) == [2, 3, 0, 1]
    assert schedule.repeating


def test_of_repetitions_the_most_wanted_go_first() -> None:
    counts = np.ones(6, dtype=np.int32)
    schedule = Schedule(counts)
    taken(schedule, counts)
    counts[:] = [1, 8, 7, 1, 9, 2]
    assert taken(schedule, counts, 3) == [1, 2, 4]


def test_every_other_repetition_lets_somebody_go_and_leaves_the_pointer_alone() -> None:
    counts = np.ones(6, dtype=np.int32)
    schedule = Schedule(counts)
    counts[4] = 0
    assert [schedule.take(5) for _ in range(5)] == [0, 1, 2, 3, 5]  # what was never sent goes first
    counts[:] = [1, 1, 1, 0, 0, 1]
    order = []
    for _ in range(4):
        chunk = schedule.take(5)
        assert chunk is not None
        order.append(chunk)
        counts[chunk] -= chunk != 5
    assert order == [5, 0, 5, 1]
    assert schedule.repeating


def test_once_nobody_lacks_anything_all_begins_anew() -> None:
    counts = np.ones(3, dtype=np.int32)
    schedule = Schedule(counts)
    taken(schedule, counts, 2)
    schedule.restart()
    counts[:] = 1
    assert schedule.peek(3) == [0, 1, 2]
    assert schedule.take() == 0
    assert not schedule.repeating


def test_what_is_read_ahead_is_no_more_than_was_asked_for() -> None:
    counts = np.ones(6, dtype=np.int32)
    schedule = Schedule(counts)
    taken(schedule, counts, 5)
    counts[:] = 1
    assert schedule.peek(3) == [5, 0, 1]
    assert schedule.peek(1) == [5]


def test_every_eighth_repetition_is_simply_the_next() -> None:
    counts = np.ones(3, dtype=np.int32)
    schedule = Schedule(counts)
    taken(schedule, counts)
    counts[:] = [50, 1, 50]
    assert [schedule.take() for _ in range(FAIR_TURN)] == [0, 2, 0, 2, 0, 2, 0, 1]


def test_of_lone_wants_those_of_who_waits_for_the_fewest_go_first() -> None:
    counts = np.ones(12, dtype=np.int32)
    schedule = Schedule(counts)
    taken(schedule, counts)
    counts[:] = 1
    assert [schedule.take(fewest=9) for _ in range(FAIR_TURN)] == [9] * (FAIR_TURN - 1) + [0]
    counts[5] = 2
    assert schedule.take(fewest=9) == 5
    counts[:] = 0
    assert schedule.take(fewest=None) is None


def test_a_lone_want_is_not_put_off_for_ever() -> None:
    counts = np.ones(4, dtype=np.int32)
    schedule = Schedule(counts)
    taken(schedule, counts)
    counts[3] = 1
    seen = []
    for _ in range(4 * FAIR_TURN):
        counts[:3] = 50
        chunk = schedule.take()
        assert chunk is not None
        seen.append(chunk)
        counts[chunk] = 0
    assert 3 in seen


def test_repetitions_and_late_repairs_take_turns() -> None:
    counts = np.ones(3, dtype=np.int32)
    schedule = Schedule(counts)
    taken(schedule, counts, 2)
    schedule.handle_sent(100)
    assert not schedule.yields()  # what was never sent goes first
    taken(schedule, counts, 1)
    counts[:] = 1
    assert not schedule.yields()
    counts[schedule.take() or 0] = 0
    schedule.handle_sent(100)
    assert schedule.yields()
    schedule.handle_late(100 * LATE_TIMES - 1)
    assert schedule.yields()
    schedule.handle_late(44)
    assert not schedule.yields()


def test_late_repairs_wait_again_after_each_repetition() -> None:
    counts = np.ones(3, dtype=np.int32)
    schedule = Schedule(counts)
    taken(schedule, counts)
    counts[:] = 1
    assert schedule.take() is not None
    schedule.handle_sent(10)
    assert schedule.yields()
    assert schedule.take() is not None
    assert not schedule.yields()
