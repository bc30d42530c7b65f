from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.multicast.proto.layout import Layout
from transports.multicast.proto.limits import MAX_BLOCK_SYMBOLS, MAX_STORED_BYTES

sizes = st.integers(1, MAX_STORED_BYTES)
symbols = st.sampled_from([64, 1400, 1448, 8960])


@given(sizes, symbols)
def test_every_row_belongs_to_exactly_one_block(stored: int, symbol: int) -> None:
    layout = Layout(stored, symbol)
    if layout.symbols > 20_000:
        return
    rows = np.concatenate([layout.rows(block) for block in range(layout.blocks)])
    assert sorted(rows.tolist()) == list(range(layout.symbols))
    assert [len(layout.rows(block)) for block in range(layout.blocks)] == layout.block_symbols().tolist()


@given(sizes, symbols)
def test_blocks_are_equal_but_for_one_and_never_above_the_limit(stored: int, symbol: int) -> None:
    k = Layout(stored, symbol).block_symbols()
    assert k.sum() == Layout(stored, symbol).symbols
    assert k.max() - k.min() <= 1
    assert 1 <= k.min() <= k.max() <= MAX_BLOCK_SYMBOLS
    assert not k.flags.writeable, "it is shared"


def test_the_memory_of_a_chunk_holds_its_last_symbol_whole() -> None:
    assert Layout(1449, 1448).padded_bytes == 2 * 1448


@pytest.mark.parametrize("stored", [0, -1, MAX_STORED_BYTES + 1])
def test_a_frame_that_cannot_be_has_no_layout(stored: int) -> None:
    with pytest.raises(ValueError, match="no layout"):
        Layout(stored, 1448)


@pytest.mark.parametrize("length", [1, 8, 189 * 8, 2896 * 8 - 3])
def test_the_places_of_all_rows_are_those_of_each_block(length: int) -> None:
    layout = Layout(length, 8)
    blocks, symbols = layout.places()
    assert len(blocks) == len(symbols) == layout.symbols
    for block in range(layout.blocks):
        rows = layout.rows(block)
        assert (blocks[rows] == block).all()
        assert symbols[rows].tolist() == list(range(len(rows)))
    with pytest.raises(ValueError, match="read-only"):
        blocks[0] = 1
