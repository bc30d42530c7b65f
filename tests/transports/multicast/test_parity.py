"""Parity that is kept is the parity of the code, and a frame is not read once for each train."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from transports.multicast import parity as parity_module
from transports.multicast.fec.cauchy import CauchyCode
from transports.multicast.parity import FRAME_ROWS_MAX, Parity
from transports.multicast.proto.layout import Layout

CODE = CauchyCode()
LAYOUT = Layout(64 * 400 - 5, 64)
"""Two blocks of 133 symbols and one of 134."""


def frame(chunk: int) -> NDArray[np.uint8]:
    return np.random.default_rng(chunk).integers(0, 256, (LAYOUT.symbols, LAYOUT.symbol_bytes), dtype=np.uint8)


def ask(parity: Parity, chunk: int, *wanted: tuple[int, int], ahead: int = 0) -> None:
    """Ask for parity number n of block b, for each (b, n) of `wanted`, and see that it is what it should be."""
    blocks = np.array([block for block, _ in wanted], dtype=np.uint8)
    symbols = (LAYOUT.block_symbols()[blocks] + [number for _, number in wanted]).astype(np.uint8)
    rows = parity.rows(chunk, LAYOUT, blocks, symbols, frame=lambda: frame(chunk), ahead=ahead)
    for row, block, symbol in zip(rows, blocks.tolist(), symbols.tolist(), strict=True):
        assert row.tobytes() == CODE.encode(frame(chunk)[block :: LAYOUT.blocks], [symbol])[0].tobytes()


def test_what_later_trains_need_is_made_with_the_first() -> None:
    parity = Parity(CODE)
    ask(parity, 0, (0, 0), (1, 0), (2, 0), (0, 1), ahead=3)
    ask(parity, 0, (0, 2), (1, 1), (2, 1))
    ask(parity, 0, (0, 4))
    assert parity.readings == 1
    ask(parity, 0, (0, 5), (1, 5))
    assert parity.readings == 2, "what was not foreseen is made in addition"


def test_the_parity_of_chunks_sent_between_is_kept() -> None:
    parity = Parity(CODE)
    for chunk in (0, 1, 0, 1):
        ask(parity, chunk, (0, 0), (1, 0))
    assert parity.readings == 2
    assert 0 in parity
    assert 2 not in parity


def test_no_more_bytes_than_the_limit_are_kept_and_the_first_go(monkeypatch: pytest.MonkeyPatch) -> None:
    one = LAYOUT.blocks * LAYOUT.symbol_bytes
    monkeypatch.setattr(parity_module, "PARITY_BYTES", 4 * one)
    parity = Parity(CODE)
    for chunk in range(4):
        ask(parity, chunk, (0, 0), (1, 0))
    assert all(chunk in parity for chunk in range(4))
    ask(parity, 0, (0, 1), (1, 1))  # a second row of each block: the oldest is 1 now
    assert [chunk in parity for chunk in range(4)] == [True, False, True, True]
    ask(parity, 4, (0, 5), (1, 5))  # six rows alone are more than the limit
    assert [chunk in parity for chunk in range(5)] == [False, False, False, False, True]


def test_for_one_block_alone_the_others_are_not_read() -> None:
    parity = Parity(CODE)
    ask(parity, 0, (1, 3))
    assert 0 not in parity


def test_far_parity_is_made_alone_and_not_kept() -> None:
    parity = Parity(CODE)
    ask(parity, 0, *((block, FRAME_ROWS_MAX) for block in range(3)))
    assert 0 not in parity


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.lists(st.tuples(st.integers(0, 2), st.integers(0, 121)), min_size=1, max_size=9),
            st.integers(0, 300),
        ),
        max_size=8,
    )
)
def test_whatever_is_asked_for_in_whatever_order_it_is_the_codes_parity(
    asked: list[tuple[int, list[tuple[int, int]], int]],
) -> None:
    parity = Parity(CODE)
    for chunk, wanted, ahead in asked:
        ask(parity, chunk, *wanted, ahead=ahead)
