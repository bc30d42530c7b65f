"""A set of chunks behaves as a set of numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transports.p2p.proto.chunkset import ChunkSet

counts = st.integers(0, 70)


@given(st.data(), counts)
def test_it_is_a_set_of_numbers_below_the_count(data: st.DataObject, count: int) -> None:
    numbers = st.integers(-2, count + 2)
    model = set(data.draw(st.lists(numbers.filter(lambda chunk: 0 <= chunk < count))))
    found = ChunkSet.of(count, model)
    for chunk in data.draw(st.lists(numbers, max_size=20)):
        if data.draw(st.booleans()):
            assert found.add(chunk) == (chunk not in model and 0 <= chunk < count)
            model |= {chunk} & set(range(count))
        else:
            assert found.discard(chunk) == (chunk in model)
            model.discard(chunk)
        assert len(found) == len(model)
        assert (chunk in found) == (chunk in model)
    start, stop = data.draw(st.integers(0, count + 9)), data.draw(st.integers(0, count + 9))
    assert found.flags(start, stop).tolist() == [chunk in model for chunk in range(start, min(stop, count))]
    assert found.lowest(start) == min((chunk for chunk in model if chunk >= start), default=count)


def test_flags_go_in_and_come_out() -> None:
    flags = np.random.default_rng(1).random(1001) < 0.3
    found = ChunkSet(flags)
    assert len(found) == int(flags.sum())
    assert (found.flags() == flags).all()


def test_the_lowest_of_a_large_set_is_found_far_away() -> None:
    found = ChunkSet.of(1 << 20, [(1 << 20) - 3])
    assert found.lowest() == (1 << 20) - 3
    assert found.lowest((1 << 20) - 2) == 1 << 20
