"""How long what is under way to a subnet is waited for follows what chunks take there."""

from __future__ import annotations

import pytest

from transports.p2p.proto.patience import ENDING_S, ENDING_TIMES, EXPECTED_FIRST_S, LEAST_S, SMOOTHING, TIMES, Patience


def test_before_anything_came_everything_is_waited_for_for_long() -> None:
    patience = Patience()
    assert (patience.usual_s, patience.ending_s) == (TIMES * EXPECTED_FIRST_S, ENDING_TIMES * EXPECTED_FIRST_S)
    assert patience.times(3) == 0
    assert not patience.is_exceeded(1e9, 1)


def test_where_chunks_are_quick_the_end_is_waited_for_less_long() -> None:
    patience = Patience()
    patience.handle_arrived(0.01)
    assert (patience.usual_s, patience.ending_s) == (LEAST_S, ENDING_S)


def test_where_they_take_long_both_follow_them() -> None:
    patience = Patience()
    patience.handle_arrived(10.0)
    patience.handle_arrived(20.0)
    expected = 10.0 + SMOOTHING * 10.0
    assert (patience.usual_s, patience.ending_s) == pytest.approx((TIMES * expected, ENDING_TIMES * expected))
    assert patience.times(2) == pytest.approx(2 * expected)
    assert patience.is_exceeded(25.1, 2)
    assert not patience.is_exceeded(24.9, 2)
