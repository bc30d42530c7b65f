"""Who says much is heard later."""

from __future__ import annotations

import pytest

from transports.member.proto.allowance import Allowance


def test_a_burst_is_free_and_the_rest_is_paid_with_time() -> None:
    allowance = Allowance(rate=10, burst=5, now=0.0)
    assert [allowance.spend(1, 0.0) for _ in range(5)] == [0.0] * 5
    assert allowance.spend(1, 0.0) == pytest.approx(0.1)
    assert allowance.spend(10, 0.0) == pytest.approx(1.1)
    assert allowance.spend(1, 2.0) == 0.0


def test_time_gives_no_more_than_a_burst() -> None:
    allowance = Allowance(rate=10, burst=5, now=0.0)
    assert allowance.spend(5, 1e6) == 0.0
    assert allowance.spend(5, 1e6) == pytest.approx(0.5)


def test_what_is_not_left_is_not_taken() -> None:
    allowance = Allowance(rate=10, burst=5, now=0.0)
    assert allowance.take(4, 0.0)
    assert not allowance.take(2, 0.0)
    assert allowance.take(1, 0.0)
    assert not allowance.take(2, 0.1)
    assert allowance.take(2, 0.2)
