"""What a member held its turns for without taking anything is repaid, in a bounded time and a bounded memory."""

from __future__ import annotations

from transports.p2p.proto import rests as module
from transports.p2p.proto.rests import FORGIVEN, IN_TIME_S, MEMBERS_MAX, REST_MAX_S, REST_TIMES, Rests


def test_quick_passes_cost_nothing() -> None:
    rests = Rests()
    for _ in range(19):
        rests.handle_wasted(7, IN_TIME_S / 20, 1.0)
    assert rests.until(7) <= 1.0
    assert rests.until(8) < 1.0
    assert rests.rests == 0


def test_who_holds_turns_and_passes_them_rests_longer_each_time_but_not_without_end() -> None:
    rests = Rests()
    waits = []
    for _ in range(12):
        rests.handle_wasted(7, 0.99, 5.0)
        waits.append(rests.until(7) - 5.0)
    assert waits[0] == REST_TIMES * (0.99 - IN_TIME_S)
    assert waits == sorted(waits)
    assert waits[-1] == REST_MAX_S
    assert rests.until(8) < 0
    assert rests.rests == 12


def test_who_takes_something_in_time_begins_anew_and_who_takes_it_late_does_not() -> None:
    rests = Rests()
    rests.handle_wasted(7, 1.0, 0.0)
    rests.handle_taken(7, 0.9, 10.0)
    assert rests.until(7) == 10.0 + REST_TIMES * (1.9 - 10.0 * FORGIVEN - IN_TIME_S)
    rests.handle_taken(7, IN_TIME_S, 20.0)
    assert rests.until(7) < 20.0
    rests.handle_wasted(7, IN_TIME_S, 30.0)
    assert rests.until(7) <= 30.0


def test_passes_of_a_round_trip_now_and_then_never_add_up_to_a_rest() -> None:
    rests = Rests()
    for number in range(1000):
        rests.handle_wasted(7, 0.03, number * 0.4)
    assert rests.rests == 0


def test_so_many_are_remembered_those_that_rest_longest(monkeypatch) -> None:
    monkeypatch.setattr(module, "MEMBERS_MAX", 2)
    assert MEMBERS_MAX > 2
    rests = Rests()
    for member, held_s in ((1, 2.0), (2, 1.0), (3, 3.0)):
        rests.handle_wasted(member, held_s, 0.0)
    assert [rests.until(member) > 0 for member in (1, 2, 3)] == [True, False, True]
