from __future__ import annotations

import itertools
import random

from transports.multicast.proto.report_clock import END_PAUSE_MAX_S, MEMBERS_PER_S, ReportClock


def clock(interval_s: float = 0.1, seed: int = 1) -> ReportClock:
    return ReportClock(interval_s=interval_s, rng=random.Random(seed), now=0.0)


def test_reports_keep_the_interval_with_some_chance() -> None:
    one = clock()
    now, times = 0.0, []
    for _ in range(200):
        now = one.due_at(lacking=True)
        one.handle_sent(now)
        times.append(now)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert 0.07 <= min(gaps) < 0.08
    assert 0.12 < max(gaps) <= 0.13


def test_members_do_not_begin_together() -> None:
    assert len({clock(seed=seed).due_at(lacking=True) for seed in range(20)}) == 20


def test_who_lacks_nothing_still_shows_life() -> None:
    one = clock()
    one.handle_sent(5.0)
    assert one.due_at(lacking=False) == 7.0
    assert not one.handle_nothing(6.9)
    assert one.handle_nothing(7.0)


def test_the_end_is_reported_at_once_but_not_by_all_together() -> None:
    one = clock(interval_s=1.0)
    one.handle_sent(10.0)
    one.handle_end(members=8, pause_s=0.01, now=10.2)
    assert 10.2 <= one.due_at(lacking=True) <= 10.2 + 8 / MEMBERS_PER_S
    before = one.due_at(lacking=True)
    one.handle_end(members=8, pause_s=0.01, now=10.2)
    assert one.due_at(lacking=True) == before


def test_what_the_last_report_asked_for_gets_time_to_come() -> None:
    one = clock(interval_s=1.0)
    one.handle_sent(10.0)
    one.handle_end(members=1, pause_s=0.05, now=10.001)
    assert one.due_at(lacking=True) >= 10.05


def test_at_the_end_nobody_waits_for_what_is_lost_as_long_as_trips_took_before() -> None:
    one = clock(interval_s=1.0)
    one.handle_sent(10.0)
    one.handle_end(members=1, pause_s=0.4, now=10.001)
    assert one.due_at(lacking=True) <= 10.0 + END_PAUSE_MAX_S + 1 / MEMBERS_PER_S


def test_a_crowd_keeps_its_pause_at_the_end() -> None:
    one = clock(interval_s=2.0)
    one.handle_sent(10.0)
    one.handle_end(members=1000, pause_s=0.4, now=10.001)
    assert one.due_at(lacking=True) >= 10.4


def test_who_had_nothing_to_say_looks_again_sooner_in_a_room_than_in_a_crowd() -> None:
    for interval_s, share in ((0.1, 0.25), (1.4, 0.7)):
        one = clock(interval_s=interval_s)
        one.handle_sent(10.0)
        assert not one.handle_nothing(11.0)
        assert one.due_at(lacking=True) == 11.0 + share * interval_s


def test_a_new_interval_counts_from_the_next_report() -> None:
    one = clock()
    one.handle_interval(10.0)
    one.handle_sent(0.0)
    assert 7.0 <= one.due_at(lacking=True) <= 13.0


def test_nothing_old_enough_is_looked_at_again_soon() -> None:
    one = clock()
    one.handle_sent(0.0)
    assert not one.handle_nothing(0.1)
    assert 0.1 < one.due_at(lacking=True) <= 0.13


def test_a_crowd_is_not_asked_for_reports_that_ask_for_nothing() -> None:
    assert clock().often
    assert not clock(interval_s=1000 / MEMBERS_PER_S).often


def test_a_large_room_does_not_put_a_report_off() -> None:
    one = clock()
    one.handle_sent(0.0)
    planned = one.due_at(lacking=True)
    for seed in range(20):
        again = clock(seed=seed)
        again.handle_sent(0.0)
        own = again.due_at(lacking=True)
        again.handle_end(members=4000, pause_s=0.01, now=0.01)
        assert again.due_at(lacking=True) <= own
    assert planned > 0


def test_an_end_that_brought_nothing_to_say_does_not_silence_the_next() -> None:
    one = clock(interval_s=10.0)
    one.handle_sent(0.0)
    one.handle_end(members=1, pause_s=0.01, now=1.0)
    assert not one.handle_nothing(1.1)
    one.handle_end(members=1, pause_s=0.01, now=1.2)
    assert one.due_at(lacking=True) < 1.3
