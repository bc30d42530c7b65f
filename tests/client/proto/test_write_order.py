from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.proto.write_order import IOV_MAX, WriteOrder, coalesce


def test_neighbours_go_together_in_rising_order() -> None:
    order: WriteOrder[str] = WriteOrder()
    for position in (7, 3, 4, 9, 5):
        order.handle_ready(position, str(position))
    assert order.poll_batch(2) == [(3, "3"), (4, "4")]
    assert order.poll_batch(8) == [(5, "5")]
    assert order.poll_batch(8) == [(7, "7")]


def test_the_sweep_goes_on_upwards_and_then_starts_again() -> None:
    order: WriteOrder[None] = WriteOrder()
    order.handle_ready(10, None)
    assert order.poll_batch(1) == [(10, None)]
    order.handle_ready(2, None)
    order.handle_ready(20, None)
    assert [order.poll_batch(1)[0][0] for _ in range(2)] == [20, 2]
    assert order.poll_batch(1) == []


def test_a_position_is_pending_once() -> None:
    order: WriteOrder[None] = WriteOrder()
    order.handle_ready(1, None)
    with pytest.raises(ValueError, match="pending already"):
        order.handle_ready(1, None)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=200))
def test_everything_added_comes_out_once(steps: list[tuple[bool, int]]) -> None:
    order: WriteOrder[int] = WriteOrder()
    pending: set[int] = set()
    for take, position in steps:
        if take:
            batch = order.poll_batch(3)
            positions = [at for at, _ in batch]
            assert positions == list(range(positions[0], positions[0] + len(batch))) if batch else not pending
            assert pending.issuperset(positions)
            pending.difference_update(positions)
        elif position not in pending:
            order.handle_ready(position, position)
            pending.add(position)
        assert len(order) == len(pending)


def test_adjacent_runs_become_one_write_of_bounded_length() -> None:
    assert coalesce([(0, 4, b"aaaa"), (4, 2, b"bb"), (8, 1, b"c")]) == [(0, [b"aaaa", b"bb"]), (8, [b"c"])]
    joined = coalesce((number, 1, b"x") for number in range(IOV_MAX + 1))
    assert [(offset, len(buffers)) for offset, buffers in joined] == [(0, IOV_MAX), (IOV_MAX, 1)]
    assert coalesce([]) == []
