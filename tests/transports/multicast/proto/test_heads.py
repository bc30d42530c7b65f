"""A head goes alone to those who wait for little else, and the others get the rest later."""

from __future__ import annotations

import numpy as np

from transports.multicast.proto.demand import NEARLY_CHUNKS, Demand
from transports.multicast.proto.heads import Heads, Part

CHUNKS = 20
AT = 5


def _demand(*wants: int) -> Demand:
    """Members at places 0, 1 … that want so many chunks, AT among them."""
    demand = Demand(CHUNKS)
    for place, count in enumerate(wants):
        flags = np.zeros(CHUNKS, dtype=np.bool_)
        flags[AT : AT + count] = True
        demand.add(place, flags)
    return demand


def test_the_longest_head_is_enough_for_all() -> None:
    heads, demand = Heads(), _demand(1, 9)
    heads.handle_joined(0, AT, 44, demand)
    heads.handle_joined(1, AT, 88, demand)
    assert heads.take(AT, demand) == Part(wanting=2, stop=88)
    assert not demand.places(AT)
    assert heads.take(AT, demand) == Part(wanting=0)


def test_who_joins_before_the_first_row_misses_nothing() -> None:
    heads, demand = Heads(), _demand(1)
    heads.handle_joined(0, AT, 0, demand)
    assert not demand.places(AT)


def test_a_head_is_longer_if_who_lacks_it_missed_more_and_nobody_elses_changes() -> None:
    heads, demand = Heads(), _demand(1, 1)
    heads.handle_joined(0, AT, 44, demand)
    heads.handle_missed(0, AT, 60)
    heads.handle_missed(0, AT, 50)
    heads.handle_missed(1, AT, 90)
    heads.handle_joined(1, AT, 20, demand)
    assert heads.take(AT, demand) == Part(wanting=2, stop=60)


def test_who_lacks_a_chunk_as_a_whole_again_is_not_sent_its_head_alone() -> None:
    heads, demand = Heads(), _demand(1, 1)
    other, this = np.zeros(CHUNKS, dtype=np.bool_), np.arange(CHUNKS) == AT
    for place in (0, 1):
        heads.handle_joined(place, AT, 44, demand)
    heads.forget(0, other)
    heads.forget(1, this)
    assert heads.take(AT, demand) == Part(wanting=2)


def test_if_another_that_is_nearly_done_lacks_all_of_it_all_of_it_is_sent() -> None:
    heads, demand = Heads(), _demand(1, NEARLY_CHUNKS)
    heads.handle_joined(0, AT, 44, demand)
    assert heads.take(AT, demand) == Part(wanting=2)
    assert not demand.places(AT)


def test_if_who_lacks_the_head_waits_for_much_as_well_all_of_it_is_sent() -> None:
    heads, demand = Heads(), _demand(NEARLY_CHUNKS + 1, 9)
    heads.handle_joined(0, AT, 44, demand)
    assert heads.take(AT, demand) == Part(wanting=2)


def test_a_late_joiner_gets_the_head_with_the_others_and_the_rest_in_its_turn() -> None:
    heads, demand = Heads(), _demand(1, 2, 9)
    heads.handle_joined(0, AT, 44, demand)
    heads.handle_joined(1, AT, 60, demand)
    assert heads.take(AT, demand) == Part(wanting=2, stop=60)
    assert demand.places(AT) == [2]
    assert heads.take(AT, demand) == Part(wanting=1, first=60)
    assert not demand.places(AT)


def test_who_joins_later_still_is_sent_all_of_it() -> None:
    heads, demand = Heads(), _demand(1, 9)
    heads.handle_joined(0, AT, 44, demand)
    heads.take(AT, demand)
    demand.add(2, np.ones(CHUNKS, dtype=np.bool_))
    assert heads.take(AT, demand) == Part(wanting=2)


def test_who_left_or_said_anew_what_it_lacks_has_no_part() -> None:
    heads, demand = Heads(), _demand(1, 9)
    heads.handle_joined(0, AT, 44, demand)
    heads.take(AT, demand)
    heads.forget(1)
    assert heads.take(AT, demand) == Part(wanting=1)


def test_a_head_that_came_another_way_does_not_count() -> None:
    heads, demand = Heads(), _demand(1, 9)
    heads.handle_joined(0, AT, 44, demand)
    demand.withdraw(0, AT)
    assert heads.take(AT, demand) == Part(wanting=1)


def test_a_rest_does_not_begin_earlier_because_another_joiner_lacked_less() -> None:
    heads, demand = Heads(), _demand(1, 9)
    heads.handle_joined(0, AT, 60, demand)
    assert heads.take(AT, demand) == Part(wanting=1, stop=60)
    demand.add(0, np.arange(CHUNKS) == AT)
    heads.handle_joined(0, AT, 44, demand)
    assert heads.take(AT, demand) == Part(wanting=1, stop=44)
    assert heads.take(AT, demand) == Part(wanting=1, first=60)
