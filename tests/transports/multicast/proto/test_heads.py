from __future__ import annotations

from transports.multicast.proto.heads import Heads


def test_the_longest_head_is_enough_for_all() -> None:
    heads = Heads()
    heads.note(5, 0, 44)
    heads.note(5, 1, 88)
    assert heads.take(5, 2) == 88
    assert heads.take(5, 2) is None


def test_if_anybody_lacks_all_of_it_all_of_it_is_sent() -> None:
    heads = Heads()
    heads.note(5, 0, 44)
    assert heads.take(5, 2) is None


def test_who_left_misses_nothing() -> None:
    heads = Heads()
    heads.note(5, 0, 44)
    heads.note(5, 1, 10)
    heads.note(6, 0, 44)
    heads.forget(0)
    assert heads.take(5, 1) == 10
    assert heads.take(6, 0) is None
