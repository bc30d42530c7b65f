"""Strangers cannot keep members out, and a member has one lane."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transports.p2p.proto.guests import (
    LANES_MAX,
    LANES_PER_ADDRESS_MAX,
    STRANGER_S,
    STRANGERS_MAX,
    Guests,
)


def test_a_storm_of_strangers_leaves_room_for_members() -> None:
    guests = Guests()
    for lane in range(STRANGERS_MAX):
        assert guests.has_room(f"10.0.0.{lane}")
        guests.handle_connected(lane, f"10.0.0.{lane}", 0.0)
    assert not guests.has_room("10.0.1.1")
    assert guests.make_room("10.0.1.1", STRANGER_S / 2) is None
    for lane in range(STRANGERS_MAX):
        assert guests.handle_proven(lane, f"p{1 + lane}") is None
    assert guests.strangers == 0
    for lane in range(STRANGERS_MAX, LANES_MAX):
        assert guests.has_room("10.0.2.1") == (lane < LANES_MAX)
        guests.handle_connected(lane, f"10.0.2.{lane}", 0.0)
    assert not guests.has_room("10.0.1.1")


def test_who_proves_nothing_makes_room_after_a_moment() -> None:
    guests = Guests()
    for lane in range(STRANGERS_MAX):
        guests.handle_connected(lane, f"10.0.0.{lane}", float(lane) / 100)
    assert guests.make_room("10.0.1.1", 0.5) is None
    assert guests.make_room("10.0.1.1", STRANGER_S) == 0
    guests.handle_closed(0)
    assert guests.has_room("10.0.1.1")
    assert guests.make_room("10.0.1.1", STRANGER_S) is None


def test_an_address_makes_room_for_itself_only_among_its_own() -> None:
    guests = Guests()
    guests.handle_connected(0, "10.0.0.9", 0.0)
    for lane in range(1, 1 + LANES_PER_ADDRESS_MAX):
        guests.handle_connected(lane, "10.0.0.1", 0.0)
        if lane > 1:
            guests.handle_proven(lane, f"p{lane}")
    assert guests.make_room("10.0.0.1", 5.0) == 1
    guests.handle_closed(1)
    guests.handle_closed(1)
    assert guests.has_room("10.0.0.1")


def test_the_newest_lane_is_the_members() -> None:
    guests = Guests()
    for lane in (1, 2, 3):
        guests.handle_connected(lane, "10.0.0.1", 0.0)
    assert guests.handle_proven(1, "p7") is None
    assert guests.handle_proven(1, "p7") is None
    assert guests.handle_proven(2, "p7") == 1
    assert guests.handle_proven(3, "p7") == 2
    guests.handle_closed(1)
    guests.handle_closed(2)
    assert guests.strangers == 0
    guests.handle_connected(4, "10.0.0.1", 0.0)
    assert guests.handle_proven(4, "p7") == 3


@given(st.lists(st.tuples(st.sampled_from("cpx"), st.integers(0, 9), st.integers(0, 3)), max_size=80))
def test_the_books_agree_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    guests, open_lanes, proven, number = Guests(), [], set(), 0
    for act, pick, member in steps:
        if act == "c":
            number += 1
            guests.handle_connected(number, f"10.0.0.{member}", float(number))
            open_lanes.append(number)
        elif open_lanes and act == "p":
            lane = open_lanes[pick % len(open_lanes)]
            guests.handle_proven(lane, f"p{member}")
            proven.add(lane)
        elif open_lanes:
            lane = open_lanes.pop(pick % len(open_lanes))
            guests.handle_closed(lane)
            proven.discard(lane)
        assert len(guests) == len(open_lanes)
        assert guests.strangers == len(open_lanes) - len(proven)
