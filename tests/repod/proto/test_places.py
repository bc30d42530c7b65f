"""Places are lent to the address that has fewest, never all to one; floods reach a bound of their own."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BusyError
from repod.proto.places import SHARE, WAITING_MAX, WAITING_PER_ADDRESS_MAX, Places


def granted(places: Places) -> list[int]:
    return list(iter(places.poll_granted, None))


def test_one_address_holds_a_part_of_the_places() -> None:
    places = Places(8)
    for number in range(10):
        places.handle_asked(number, "10.0.0.66")
    assert granted(places) == list(range(8 // SHARE))
    places.handle_asked(10, "10.0.0.1")
    assert granted(places) == [10]
    places.handle_left(0)
    assert granted(places) == [2]


def test_a_single_place_is_lent_in_turn() -> None:
    places = Places(1)
    for number, address in enumerate(["a", "a", "b"]):
        places.handle_asked(number, address)
    assert granted(places) == [0]
    places.handle_left(0)
    assert granted(places) == [1]
    places.handle_left(1)
    assert granted(places) == [2]


def test_who_has_fewest_places_comes_first() -> None:
    places = Places(8)
    for number in range(8):
        places.handle_asked(number, f"full{number // 2}")
    places.handle_asked(8, "full0")
    places.handle_asked(9, "new")
    assert granted(places) == list(range(8))
    places.handle_left(0)
    assert granted(places) == [9]


def test_who_waits_no_more_is_passed_over() -> None:
    places = Places(1)
    for number in range(3):
        places.handle_asked(number, "a")
    places.handle_left(1)
    places.handle_left(0)
    assert granted(places) == [0, 2]
    assert places.waiting == 0


def test_an_address_that_floods_the_queue_is_told_to_come_again_and_others_are_not() -> None:
    places = Places(1)
    for number in range(WAITING_PER_ADDRESS_MAX + 1):
        places.handle_asked(number, "flood")
    with pytest.raises(BusyError):
        places.handle_asked(1000, "flood")
    places.handle_asked(1001, "other")
    assert places.refused == 1


def test_so_many_wait_and_no_more() -> None:
    places = Places(1)
    for number in range(WAITING_MAX + 1):
        places.handle_asked(number, str(number))
    with pytest.raises(BusyError):
        places.handle_asked(WAITING_MAX + 1, "late")
    assert (places.waiting, places.refused) == (WAITING_MAX, 1)


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=60), most=st.integers(1, 9))
def test_places_are_neither_lost_nor_lent_twice(steps: list[tuple[bool, int]], most: int) -> None:
    places, numbers = Places(most), itertools.count()
    here: dict[int, str] = {}
    sending: set[int] = set()
    for comes, which in steps:
        if comes:
            number = next(numbers)
            here[number] = str(which)
            places.handle_asked(number, str(which))
        elif here:
            number = list(here)[which % len(here)]
            del here[number]
            sending.discard(number)
            places.handle_left(number)
        new = granted(places)
        assert not sending & set(new)
        sending |= set(new)
        assert len(sending) <= most
        assert places.waiting == len(here) - len(sending)
        held = [here[number] for number in sending]
        full = {address for address in held if held.count(address) >= max(1, most // SHARE)}
        assert len(sending) == most or {here[number] for number in here if number not in sending} <= full
    for number in list(here):
        places.handle_left(number)
        del here[number]
    assert places.waiting == 0
