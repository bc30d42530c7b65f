from __future__ import annotations

import pytest

from client.proto.estimate import WINDOW_S, Estimate


def test_rate_and_time_left_come_from_the_window() -> None:
    estimate = Estimate(now=0, total=1000, done=100)
    estimate.handle_done(1, 200)
    assert estimate.rate_bytes_per_s(1) == pytest.approx(100)
    assert estimate.left_s(1) == pytest.approx(8)


def test_a_change_of_pace_shows_after_one_window() -> None:
    estimate = Estimate(now=0, total=10**9)
    for second in range(20):
        estimate.handle_done(second, second * 100)
    for second in range(20, 20 + int(WINDOW_S) + 2):
        estimate.handle_done(second, 1900 + (second - 19) * 10)
    assert estimate.rate_bytes_per_s(19 + WINDOW_S + 2) < 20


def test_while_nothing_moves_there_is_no_estimate() -> None:
    estimate = Estimate(now=0, total=10)
    assert estimate.left_s(0) is None
    assert estimate.left_s(5) is None


def test_calls_in_quick_succession_do_not_shorten_the_window() -> None:
    estimate = Estimate(now=0, total=10**9)
    for step in range(100_000):
        estimate.handle_done(step * 0.0001, step)
    assert estimate.rate_bytes_per_s(10) == pytest.approx(10_000, rel=0.01)
    assert estimate.done == 99_999
