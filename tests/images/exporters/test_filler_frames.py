"""Frames made by hand: zstd decodes them, and our own check of stored frames lets them pass."""

from __future__ import annotations

import random

import pytest
import zstandard

from images.codec import decode_frame
from images.exporters.filler_frames import raw_frame, raw_frame_length, zero_frame

LENGTHS = [0, 1, 511, 131_071, 131_072, 131_073, 1 << 20, (1 << 20) + 512]


@pytest.mark.parametrize("length", LENGTHS)
def test_a_raw_frame_is_its_content(length: int) -> None:
    content = random.Random(length).randbytes(length)
    frame = raw_frame(content)
    assert zstandard.decompress(frame) == content
    assert bytes(decode_frame(frame, length)) == content
    assert len(frame) == raw_frame_length(length)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_zero_frame_is_zeros_and_small(length: int) -> None:
    frame = zero_frame(length)
    assert zstandard.decompress(frame) == bytes(length)
    assert bytes(decode_frame(frame, length)) == bytes(length)
    assert len(frame) <= 9 + 4 * (length // 131_072 + 1)


def test_the_largest_slot_needs_no_larger_window_than_a_chunk() -> None:
    length = 16 << 20
    assert zstandard.get_frame_parameters(zero_frame(length)).window_size <= length
