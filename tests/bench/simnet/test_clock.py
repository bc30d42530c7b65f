from __future__ import annotations

import pytest

from bench.simnet.clock import Clock, TooManySteps


def test_things_happen_in_order_of_time_then_of_asking() -> None:
    clock, seen = Clock(), []
    for time, name in ((2.0, "c"), (1.0, "a"), (1.0, "b")):
        clock.at(time, lambda name=name: seen.append((clock.now, name)))
    clock.run(until=10.0)
    assert seen == [(1.0, "a"), (1.0, "b"), (2.0, "c")]


def test_the_past_is_now_and_the_future_waits() -> None:
    clock, seen = Clock(), []
    clock.at(1.0, lambda: clock.at(0.5, lambda: seen.append(clock.now)))
    clock.at(5.0, lambda: seen.append(clock.now))
    clock.run(until=3.0)
    assert (seen, clock.now) == ([1.0], 3.0)


def test_it_stops_when_told() -> None:
    clock, seen = Clock(), []
    for time in (1.0, 2.0, 3.0):
        clock.at(time, lambda: seen.append(clock.now))
    clock.run(until=10.0, stop=lambda: len(seen) == 2)
    assert seen == [1.0, 2.0]


def test_two_that_keep_each_other_busy_are_found_out() -> None:
    clock = Clock(steps=100)

    def again() -> None:
        clock.at(clock.now, again)

    again()
    with pytest.raises(TooManySteps):
        clock.run(until=1.0)
