"""Parity made ahead is the parity of the code, and a block is not read once for each train."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from transports.multicast.fec.cauchy import CauchyCode
from transports.multicast.parity import ParityAhead

K = 20
CODE = CauchyCode()


def block(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (K, 64), dtype=np.uint8)


def test_what_later_trains_need_is_made_with_the_first() -> None:
    parity, rows = ParityAhead(CODE), block(1)
    for first, ahead in ((K, 6), (K + 3, 3), (K + 6, 0)):
        made = parity.rows(0, 0, list(range(first, first + 3)), of=rows, ahead=ahead)
        assert made.tobytes() == CODE.encode(rows, range(first, first + 3)).tobytes()
    assert parity.encodings == 1


def test_another_chunk_has_parity_of_its_own() -> None:
    parity = ParityAhead(CODE)
    for chunk in (0, 1, 0):
        made = parity.rows(chunk, 0, [K, K + 1], of=block(chunk), ahead=10)
        assert made.tobytes() == CODE.encode(block(chunk), [K, K + 1]).tobytes()
    assert parity.encodings == 3


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.integers(0, 2),
            st.lists(st.integers(K, 255), min_size=1, max_size=9, unique=True).map(sorted),
            st.integers(0, 300),
        ),
        max_size=12,
    )
)
def test_whatever_is_asked_for_in_whatever_order_it_is_the_codes_parity(
    asked: list[tuple[int, int, list[int], int]],
) -> None:
    parity = ParityAhead(CODE)
    for chunk, number, symbols, ahead in asked:
        rows = block(chunk * 3 + number)
        made = parity.rows(chunk, number, symbols, of=rows, ahead=ahead)
        assert made.tobytes() == CODE.encode(rows, symbols).tobytes()


@pytest.mark.parametrize("ahead", [0, 1, 100])
def test_nothing_is_made_behind_the_last_symbol(ahead: int) -> None:
    made = ParityAhead(CODE).rows(0, 0, [255], of=block(3), ahead=ahead)
    assert made.tobytes() == CODE.encode(block(3), [255]).tobytes()
