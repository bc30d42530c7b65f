"""Any k of the symbols of a block rebuild it, and parity is what the formula says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from transports.multicast.fec.cauchy import CauchyCode
from transports.multicast.fec.code import ErasureCode
from transports.multicast.fec.gf256 import EXP, LOG, ORDER, times_table

CODE: ErasureCode = CauchyCode()


def random_block(seed: int, k: int, size: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (k, size), dtype=np.uint8)


def parity_by_formula(block: NDArray[np.uint8], index: int) -> bytes:
    k = len(block)
    total = np.zeros(block.shape[1], dtype=np.uint8)
    for number, row in enumerate(block):
        factor = int(EXP[(LOG[k ^ number] - LOG[index ^ number]) % ORDER])
        total ^= np.frombuffer(row.tobytes().translate(times_table(factor)), dtype=np.uint8)
    return total.tobytes()


@pytest.mark.parametrize("k", [1, 2, 7, 188, 200, 255])
def test_parity_is_the_scaled_cauchy_sum(k: int) -> None:
    block = random_block(k, k, 16)
    indices = sorted({k, min(k + 1, 255), 255})
    rows = CODE.encode(block, indices)
    assert [row.tobytes() for row in rows] == [parity_by_formula(block, index) for index in indices]


def test_first_parity_is_the_plain_xor() -> None:
    block = random_block(1, 188, 1400)
    assert CODE.encode(block, [188])[0].tobytes() == np.bitwise_xor.reduce(block, axis=0).tobytes()


def test_parity_of_another_count_of_originals_is_another_code() -> None:
    block = random_block(2, 20, 8)
    assert CODE.encode(block, [40]).tobytes() != CODE.encode(block[:19], [40]).tobytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), k=st.integers(1, 255), size=st.sampled_from([8, 24]))
def test_any_k_symbols_rebuild_the_block(data: st.DataObject, k: int, size: int) -> None:
    block = random_block(k, k, size)
    losses = data.draw(st.integers(0, min(k, 256 - k)))
    missing = data.draw(st.lists(st.integers(0, k - 1), min_size=losses, max_size=losses, unique=True))
    parity = data.draw(st.lists(st.integers(k, 255), min_size=losses, max_size=min(losses + 2, 256 - k), unique=True))
    rows = CODE.encode(block, parity)
    broken = block.copy()
    broken[missing] = 0xA5
    kept = rows.copy()
    CODE.decode(broken, missing, parity, rows)
    assert broken.tobytes() == block.tobytes()
    assert rows.tobytes() == kept.tobytes(), "received parity belongs to the caller"


@pytest.mark.parametrize("losses", [1, 2, 3, 68])
def test_every_count_of_losses_up_to_all_parity_is_mended(losses: int) -> None:
    block = random_block(losses, 188, 1400)
    missing = list(range(0, 188, 188 // losses))[:losses]
    parity = list(range(255, 255 - losses, -1))
    broken = block.copy()
    broken[missing] = 0
    CODE.decode(broken, missing, parity, CODE.encode(block, parity))
    assert broken.tobytes() == block.tobytes()


def test_every_square_of_small_blocks_is_regular() -> None:
    block = random_block(3, 3, 8)
    parity = list(range(3, 256, 11))
    rows = dict(zip(parity, CODE.encode(block, parity), strict=True))
    for a in parity:
        for b in parity:
            if a < b:
                broken = block.copy()
                broken[[0, 2]] = 0
                CODE.decode(broken, [2, 0], [a, b], np.stack([rows[a], rows[b]]))
                assert broken.tobytes() == block.tobytes()


def test_the_parity_of_a_frame_is_that_of_its_blocks() -> None:
    frame = random_block(4, 50, 24)
    made = CauchyCode().encode_frame(frame, 3, 2, 4)
    assert made.shape == (4, 3, 24)
    for number in range(3):
        block = frame[number::3]
        expected = CauchyCode().encode(block, range(len(block) + 2, len(block) + 6))
        assert made[:, number].tobytes() == expected.tobytes()


def test_rows_may_lie_apart_as_in_an_interleaved_chunk() -> None:
    chunk = random_block(4, 21, 40)
    view = chunk[1::4]
    rows = CODE.encode(view, [5, 9])
    assert rows.tobytes() == CODE.encode(np.ascontiguousarray(view), [5, 9]).tobytes()
    before = chunk.copy()
    chunk[[1, 9]] = 0
    CODE.decode(view, [0, 2], [5, 9], rows)
    assert chunk.tobytes() == before.tobytes()


@pytest.mark.parametrize(("k", "parity"), [(4, [3]), (4, [256]), (4, [-1]), (4, [7, 7])])
def test_parity_indices_outside_the_code_are_refused(k: int, parity: list[int]) -> None:
    with pytest.raises(ValueError, match="parity indices"):
        CODE.encode(random_block(5, k, 8), parity)


@pytest.mark.parametrize("shape", [(0, 8), (256, 8), (4, 0), (4, 12), (8,)])
def test_blocks_of_impossible_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"block of|multiple of"):
        CODE.encode(np.zeros(shape, dtype=np.uint8), [])


@pytest.mark.parametrize(
    ("missing", "parity"), [([0, 1], [4]), ([4], [4]), ([-1], [4]), ([1, 1], [4, 5]), ([0], [4, 4])]
)
def test_decoding_refuses_what_cannot_work(missing: list[int], parity: list[int]) -> None:
    block = random_block(6, 4, 8)
    with pytest.raises(ValueError, match=r"missing|parity"):
        CODE.decode(block, missing, parity, np.zeros((len(parity), 8), dtype=np.uint8))
    assert block.tobytes() == random_block(6, 4, 8).tobytes()


def test_parity_rows_and_indices_have_to_agree() -> None:
    with pytest.raises(ValueError, match="parity rows"):
        CODE.decode(random_block(7, 4, 8), [0], [4, 5], np.zeros((1, 8), dtype=np.uint8))


def test_the_parity_of_a_known_block_stays_what_it_is() -> None:
    block = np.arange(40, dtype=np.uint8).reshape(5, 8)
    rows = [row.tobytes().hex() for row in CODE.encode(block, [5, 6, 255])]
    assert rows == ["2021222324252627", "c22c03ed5db39c72", "84e2482e0167cdab"]
