"""Everybody hears of every chunk, those who lack it at once."""

from __future__ import annotations

from transports.p2p.proto.tidings import PATIENT_S, Tidings


def _room(*held: set[int]) -> Tidings:
    """Lanes 0, 1 …, and what those at them are known to hold."""
    tidings = Tidings(lambda lane, chunk: chunk in held[lane])
    for lane in range(len(held)):
        tidings.join(lane)
    return tidings


def test_who_lacks_a_chunk_hears_of_it_at_once_and_who_holds_it_with_the_next_that_it_lacks() -> None:
    tidings = _room({1}, {1, 2})
    tidings.handle_held([1], 10.0)
    assert tidings.poll(10.0) == []
    tidings.handle_held([2], 10.3)
    assert tidings.poll(10.3) == [(0, [1, 2])]
    assert tidings.poll(10.3) == []


def test_nobody_waits_for_ever() -> None:
    tidings = _room({1, 2})
    assert tidings.deadline == float("inf")
    tidings.handle_held([1], 10.0)
    tidings.handle_held([2], 10.4)
    assert tidings.deadline == 10.0 + PATIENT_S
    assert tidings.poll(tidings.deadline) == [(0, [1, 2])]
    assert tidings.deadline == float("inf")


def test_one_chunk_that_is_lacking_is_enough() -> None:
    tidings = _room({1})
    tidings.handle_held([1, 2], 10.0)
    assert tidings.poll(10.0) == [(0, [1, 2])]


def test_what_is_gone_before_it_was_told_is_not_told() -> None:
    tidings = _room({1, 2}, {2})
    tidings.handle_held([1, 2], 10.0)
    assert tidings.poll(10.0) == [(1, [1, 2])]
    tidings.handle_gone([1])
    assert tidings.poll(10.0 + PATIENT_S) == [(0, [2])]
    tidings.handle_held([1], 12.0)
    tidings.handle_gone([1])
    assert tidings.poll(20.0) == []
    assert tidings.deadline == float("inf")


def test_who_has_left_is_told_nothing_and_who_comes_nothing_of_before() -> None:
    tidings = _room({1}, {1})
    tidings.handle_held([1], 10.0)
    tidings.forget(0)
    tidings.forget(0)
    tidings.join(0)
    assert tidings.poll(11.0) == [(1, [1])]
