"""Maps of used blocks."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
from hypothesis import given

from images.partclone.bitmap import BITMAP_PIECE_BYTES, bitmap_bytes, encode_bits, runs_of
from images.partclone.header import BitmapMode


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 7))
def test_bits_give_the_same_runs_however_they_arrive(flags: list[bool], step: int) -> None:
    runs = [(0, len(list(flags)))] if all(flags) and flags else []
    used = [(index, 1) for index, flag in enumerate(flags) if flag]
    packed = b"".join(encode_bits(used, len(flags)))
    assert len(packed) == bitmap_bytes(BitmapMode.BITS, len(flags))
    whole = list(runs_of([packed], BitmapMode.BITS, len(flags)))
    assert list(runs_of(_pieces(packed, step), BitmapMode.BITS, len(flags))) == whole
    assert [used for _, blocks, used in whole for _ in range(blocks)] == flags
    assert all(one[2] != other[2] for one, other in itertools.pairwise(whole))
    if runs:
        assert [run[:2] for run in whole] == runs


def test_only_one_means_used_in_a_map_of_bytes() -> None:
    assert list(runs_of([b"\x01\x00\x02\xff\x01"], BitmapMode.BYTES, 5)) == [(0, 1, True), (1, 3, False), (4, 1, True)]


def test_without_a_map_all_is_used() -> None:
    assert list(runs_of([], BitmapMode.NONE, 9)) == [(0, 9, True)]
    assert list(runs_of([], BitmapMode.NONE, 0)) == []


def test_padding_bits_are_ignored() -> None:
    assert list(runs_of([b"\xff"], BitmapMode.BITS, 3)) == [(0, 3, True)]


def test_a_run_may_cross_the_pieces_of_a_large_map() -> None:
    total = BITMAP_PIECE_BYTES * 8 * 3 + 5
    runs = [(10, BITMAP_PIECE_BYTES * 8 * 2), (total - 2, 2)]
    pieces = list(encode_bits(runs, total))
    assert len(pieces) == 4
    assert [run[:2] for run in runs_of(pieces, BitmapMode.BITS, total) if run[2]] == runs
