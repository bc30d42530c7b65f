"""What is missing of a frame is sorted by blocks, and what cannot be is refused."""

from __future__ import annotations

import numpy as np
import pytest

from transports.multicast.fec.erasures import erasures_of

FRAME = np.zeros((10, 8), dtype=np.uint8)
"""Dealt to three blocks: of 4, 3 and 3 symbols."""


def test_entries_lie_block_by_block() -> None:
    lost = erasures_of(FRAME, 3, np.array([9, 1, 5, 3]), np.array([5, 3, 4, 6]))
    assert lost.blocks.tolist() == [0, 0, 1, 2]
    assert lost.rows.tolist() == [9, 3, 1, 5]
    assert lost.missing.tolist() == [3, 1, 0, 1]
    assert lost.parity.tolist() == [5, 6, 3, 4]
    assert lost.k.tolist() == [4, 4, 3, 3]


def test_entries_of_a_block_stay_together() -> None:
    lost = erasures_of(FRAME, 3, np.array([0, 3, 6, 1, 2, 5]), np.array([4, 5, 6, 3, 3, 4]))
    assert [(some.start, some.stop) for some in lost.groups(1)] == [(0, 3), (3, 4), (4, 6)]
    assert [(some.start, some.stop) for some in lost.groups(2)] == [(0, 3), (3, 6)]
    assert [(some.start, some.stop) for some in lost.groups(32)] == [(0, 6)]


def test_nothing_missing_is_nothing() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert len(erasures_of(FRAME, 3, none, none)) == 0
    assert list(erasures_of(FRAME, 3, none, none).groups(1)) == []


@pytest.mark.parametrize(
    ("rows", "parity"),
    [([10], [4]), ([-1], [4]), ([0, 0], [4, 5]), ([0], [3]), ([0], [256]), ([0, 3], [4, 4]), ([0], [4, 5])],
)
def test_what_cannot_be_is_refused(rows: list[int], parity: list[int]) -> None:
    with pytest.raises(ValueError, match=r"missing|parity"):
        erasures_of(FRAME, 3, np.array(rows), np.array(parity))


@pytest.mark.parametrize("blocks", [0, -1, 11])
def test_a_frame_has_no_more_blocks_than_rows(blocks: int) -> None:
    with pytest.raises(ValueError, match="blocks"):
        erasures_of(FRAME, blocks, np.array([0]), np.array([4]))
