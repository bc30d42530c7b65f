from __future__ import annotations

import pytest

from core.errors import UsageError
from transports.multicast.proto.start import DAY_S, StartGate, StartPolicy, parse_time_of_day


def test_without_a_condition_a_cast_begins_at_once() -> None:
    gate = StartGate(StartPolicy(), wall_s=0)
    assert gate.poll_open(0, wall_s=0, members=0)
    assert gate.reason(0, members=0) == ""


def test_it_begins_with_the_last_client_it_waits_for() -> None:
    gate = StartGate(StartPolicy(clients=3, wait_s=60), wall_s=0)
    assert not gate.poll_open(0, wall_s=0, members=2)
    assert "2 of 3 clients" in gate.reason(0, members=2)
    assert gate.poll_open(1, wall_s=1, members=3)
    assert gate.poll_open(2, wall_s=2, members=0)  # open once, open for ever


def test_the_longest_wait_counts_from_the_first_member() -> None:
    gate = StartGate(StartPolicy(clients=50, wait_s=60), wall_s=0)
    assert not gate.poll_open(1000, wall_s=0, members=0)
    assert not gate.poll_open(1001, wall_s=0, members=1)
    assert not gate.poll_open(1060, wall_s=0, members=1)
    assert gate.poll_open(1061, wall_s=0, members=1)


def test_one_client_is_a_number_too() -> None:
    gate = StartGate(StartPolicy(clients=1, wait_s=60), wall_s=0)
    assert not gate.poll_open(0, wall_s=0, members=0)
    assert gate.reason(0, members=0) == "waiting: 0 of 1 clients"
    assert gate.poll_open(1, wall_s=1, members=1)


def test_members_that_leave_before_the_start_do_not_count() -> None:
    gate = StartGate(StartPolicy(wait_s=10), wall_s=0)
    assert not gate.poll_open(0, wall_s=0, members=1)
    assert not gate.poll_open(5, wall_s=0, members=0)
    assert not gate.poll_open(11, wall_s=0, members=1)
    assert gate.poll_open(21, wall_s=0, members=1)


def test_a_number_without_a_wait_does_not_wait_for_ever() -> None:
    gate = StartGate(StartPolicy(clients=50), wall_s=0)
    gate.poll_open(0, wall_s=0, members=1)
    assert gate.poll_open(61, wall_s=0, members=1)


def test_a_clock_that_is_set_back_does_not_go_over_every_time_of_the_day() -> None:
    gate = StartGate(StartPolicy(time_of_day_s=DAY_S / 2), wall_s=DAY_S - 3600)
    assert not gate.poll_open(0, wall_s=DAY_S - 3720, members=1)
    assert not gate.poll_open(1, wall_s=DAY_S - 3719, members=1)


def test_a_time_of_day_opens_even_over_midnight() -> None:
    gate = StartGate(StartPolicy(time_of_day_s=60.0), wall_s=DAY_S - 10)
    assert not gate.poll_open(0, wall_s=DAY_S - 1, members=1)
    assert not gate.poll_open(2, wall_s=1, members=1)
    assert gate.poll_open(61, wall_s=60, members=1)


def test_what_is_waited_for_is_said_in_words() -> None:
    alone = StartGate(StartPolicy(time_of_day_s=81_000.0), wall_s=0)
    assert alone.reason(0, members=2) == "waiting: until 22:30"
    both = StartGate(StartPolicy(clients=3, time_of_day_s=81_000.0), wall_s=0)
    assert both.reason(0, members=2) == "waiting: 2 of 3 clients, or until 22:30"


def test_a_clock_set_back_does_not_open() -> None:
    gate = StartGate(StartPolicy(time_of_day_s=36_000.0), wall_s=40_000)
    assert not gate.poll_open(0, wall_s=30_000, members=1)
    assert gate.poll_open(1, wall_s=36_001, members=1)


@pytest.mark.parametrize(("text", "expected"), [("22:30", 81_000.0), ("7:05:09", 25_509.0), ("", None)])
def test_times_of_day(text: str, expected: float | None) -> None:
    assert parse_time_of_day(text) == expected


@pytest.mark.parametrize("text", ["24:00", "7", "07:60", "noon", "07:05:61"])
def test_times_no_day_has(text: str) -> None:
    with pytest.raises(UsageError):
        parse_time_of_day(text)


def test_who_waits_for_a_time_of_the_day_waits_no_longest_time_for_a_number() -> None:
    assert StartPolicy(clients=5, time_of_day_s=60.0).longest_wait_s == float("inf")
    assert StartPolicy(clients=5, time_of_day_s=60.0, wait_s=9.0).longest_wait_s == 9.0
