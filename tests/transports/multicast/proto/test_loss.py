from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transports.multicast.proto.loss import WINDOW_PACKETS, SequenceTracker


def feed(tracker: SequenceTracker, *sequences: int) -> list[bool]:
    return tracker.handle_sequences(np.array(sequences, dtype=np.int64)).tolist()


def test_gaps_are_losses_until_they_are_filled() -> None:
    tracker = SequenceTracker(100)
    assert feed(tracker, 101, 102, 105) == [True] * 3
    assert (tracker.span, tracker.lost) == (5, 2)
    assert feed(tracker, 104, 103) == [True] * 2
    assert (tracker.span, tracker.lost) == (5, 0)


def test_what_was_sent_before_the_first_packet_is_no_loss() -> None:
    tracker = SequenceTracker(0)
    feed(tracker, 1000)
    assert (tracker.span, tracker.lost, tracker.highest) == (1, 0, 1000)


def test_what_was_sent_before_the_offer_says_nothing() -> None:
    tracker = SequenceTracker(1000)
    assert feed(tracker, 7, 1000) == [False] * 2
    assert (tracker.span, tracker.highest, tracker.late) == (0, 1000, 2)
    assert feed(tracker, 900, 1010) == [False, True]
    assert feed(tracker, 8, 1009) == [False] * 2
    assert (tracker.span, tracker.lost, tracker.late) == (1, 0, 5)


def test_a_packet_counts_once() -> None:
    tracker = SequenceTracker()
    assert feed(tracker, 5, 6, 6, 7) == [True, True, False, True]
    assert feed(tracker, 6, 8) == [False, True]
    assert tracker.repeated == 2


def test_older_than_the_window_or_the_beginning_is_a_replay() -> None:
    tracker = SequenceTracker()
    feed(tracker, 10)
    assert feed(tracker, 9) == [False]
    feed(tracker, 10 + WINDOW_PACKETS)
    assert feed(tracker, 10, 11) == [False, True]
    assert tracker.late == 2


def test_numbers_beyond_32_bits_go_on() -> None:
    tracker = SequenceTracker()
    assert feed(tracker, *range((1 << 32) - 3, (1 << 32) + 3)) == [True] * 6
    assert tracker.lost == 0


def test_a_jump_forgets_the_whole_window() -> None:
    tracker = SequenceTracker()
    feed(tracker, 1)
    feed(tracker, 1 + 10 * WINDOW_PACKETS)
    assert feed(tracker, 2 + 9 * WINDOW_PACKETS) == [True]


def test_nothing_in_nothing_out() -> None:
    assert feed(SequenceTracker()) == []


@given(st.lists(st.lists(st.integers(1, 400), max_size=30), max_size=20))
def test_totals_are_those_of_a_set(batches: list[list[int]]) -> None:
    tracker, seen = SequenceTracker(), set[int]()
    first = None
    for batch in batches:
        if batch and first is None:
            first = min(batch)
        fresh = feed(tracker, *batch)
        for number, new in zip(batch, fresh, strict=True):
            assert new == (first is not None and number >= first and number not in seen)
            if new:
                seen.add(number)
    assert tracker.received == len(seen)
    if seen and first is not None:
        assert tracker.lost == max(seen) - first + 1 - len(seen)


def test_what_the_window_saw_a_round_ago_is_forgotten_where_it_wraps() -> None:
    tracker = SequenceTracker()
    wrap = 2 * WINDOW_PACKETS
    feed(tracker, *range(1, wrap - 1000))
    feed(tracker, wrap + 1000)
    assert feed(tracker, wrap - 500) == [True]
    assert feed(tracker, wrap + 500) == [True]
    assert feed(tracker, wrap - 500, wrap + 500) == [False, False]


def test_what_is_known_to_be_in_order_counts_as_if_it_were_looked_at() -> None:
    known, looked_at = SequenceTracker(100), SequenceTracker(100)
    for train in ([103, 104, 108], [109, 112], [112 + WINDOW_PACKETS, 114 + WINDOW_PACKETS]):
        known.handle_ordered(np.array(train, dtype=np.int64))
        assert feed(looked_at, *train) == [True] * len(train)
        assert (known.highest, known.span, known.received) == (looked_at.highest, looked_at.span, looked_at.received)
    assert feed(known, 112 + WINDOW_PACKETS, 113 + WINDOW_PACKETS, 102) == [False, True, False]
