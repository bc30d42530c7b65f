"""What lasts is asked for, again and again, a few at a time."""

from __future__ import annotations

from transports.p2p.proto.limits import NEED_AFTER_S
from transports.p2p.proto.needs import NEED_CHUNKS, NEED_LONGEST_S, Needs


def test_only_what_is_lacking_for_long_is_named() -> None:
    needs = Needs()
    needs.handle_lacking([1, 2], 0.0)
    assert needs.poll() == []
    needs.handle_lacking([2, 3], NEED_AFTER_S)
    assert needs.poll() == [2]
    assert needs.poll() == []
    needs.handle_lacking(range(100), 10.0)
    needs.handle_lacking(range(100), 20.0)
    assert needs.poll() == list(range(NEED_CHUNKS))


def test_where_chunks_take_long_more_time_is_given_but_not_for_ever() -> None:
    needs = Needs()
    for _ in range(20):
        needs.handle_arrival(100.0)
    needs.handle_lacking([1], 0.0)
    needs.handle_lacking([1], NEED_LONGEST_S - 0.1)
    assert needs.poll() == []
    needs.handle_lacking([1], NEED_LONGEST_S)
    assert needs.poll() == [1]
    needs.handle_lacking([2], 20.0, starving=True)
    needs.handle_lacking([2], 20.0 + NEED_AFTER_S, starving=True)
    assert needs.poll() == [2]
