"""The picker asks for what is wanted, in rising order, once, and again only when it was refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.wantmap import WantMap
from transports.unicast.proto.picker import AHEAD_CHUNKS, MAX_REJECTIONS, Picker


def test_chunks_come_in_rising_order_once() -> None:
    picker = Picker(WantMap(1000))
    taken = picker.take(300) + picker.take(1000)
    assert taken == list(range(1000))
    assert picker.take(1) == []
    assert picker.busy


def test_a_chunk_discarded_after_it_was_looked_at_is_not_taken() -> None:
    want = WantMap(AHEAD_CHUNKS)
    picker = Picker(want)
    assert picker.count(3) == 3
    want.discard(0)
    want.discard(2)
    assert picker.take(2) == [1, 3]


def test_a_refused_chunk_comes_first_and_not_for_ever() -> None:
    want = WantMap(10)
    picker = Picker(want)
    assert picker.take(2) == [0, 1]
    for attempt in range(1, MAX_REJECTIONS + 1):
        picker.arrived(0)
        picker.reject(0, "bad")
        if attempt < MAX_REJECTIONS:
            assert picker.take(1) == [0]
    assert picker.take(1) == [2]
    assert "bad" in picker.lost[0]
    want.discard(0)
    assert picker.lost == {}


def test_an_accepted_chunk_is_not_asked_for_again_while_it_is_still_in_the_map() -> None:
    picker = Picker(WantMap(2))
    picker.take(2)
    for chunk in (0, 1):
        picker.arrived(chunk)
        picker.accept(chunk)
    assert not picker.busy
    assert not picker.rewind()


def test_rewinding_finds_what_was_added_behind() -> None:
    want = WantMap(10, full=False)
    want.add(5)
    picker = Picker(want)
    assert picker.take(9) == [5]
    want.add(1)
    assert picker.count(1) == 0
    assert picker.rewind()
    assert picker.take(9) == [1]


def test_a_chunk_that_will_not_come_is_wanted_again() -> None:
    picker = Picker(WantMap(3))
    picker.take(3)
    picker.returned(1)
    assert picker.take(3) == [1]


@given(st.data())
def test_every_wanted_chunk_is_taken_exactly_once(data: st.DataObject) -> None:
    wanted = data.draw(st.sets(st.integers(0, 599)))
    want = WantMap(600, full=False)
    for chunk in wanted:
        want.add(chunk)
    picker = Picker(want)
    taken: list[int] = []
    while found := picker.take(data.draw(st.integers(1, 50))):
        taken += found
    assert taken == sorted(wanted)


def test_what_is_asked_or_not_judged_is_under_way() -> None:
    picker = Picker(WantMap(4))
    picker.take(2)
    picker.arrived(0)
    assert picker.under_way == {0, 1}
    picker.accept(0)
    picker.returned(1)
    assert picker.under_way == frozenset()
