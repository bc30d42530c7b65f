"""Defaults of image making are legal values."""

from __future__ import annotations

import pytest

from images.builder import fitting_chunk_size
from images.defaults import CHUNK_SIZE_DEFAULT, SMALLER_CHUNKS, ZSTD_LEVEL_DEFAULT, chunk_size_for

MIB = 1 << 20


def test_defaults_are_legal() -> None:
    assert fitting_chunk_size(0, CHUNK_SIZE_DEFAULT) == CHUNK_SIZE_DEFAULT
    assert 1 <= ZSTD_LEVEL_DEFAULT <= 19


@pytest.mark.parametrize(
    ("size", "chunk_size"),
    [
        (0, MIB),
        (64 * MIB, MIB),
        (512 * MIB - 1, MIB),
        (512 * MIB, 2 * MIB),
        (2048 * MIB - 1, 2 * MIB),
        (2048 * MIB, 4 * MIB),
        (100_000 * MIB, 4 * MIB),
    ],
)
def test_a_small_image_has_smaller_chunks(size: int, chunk_size: int) -> None:
    assert chunk_size_for(size) == chunk_size


def test_an_image_has_256_chunks_or_more_once_it_is_not_of_the_smallest() -> None:
    for size, chunk_size in SMALLER_CHUNKS:
        assert fitting_chunk_size(size - 1, chunk_size) == chunk_size
        assert size // chunk_size_for(size) >= 256


def test_an_image_of_unknown_size_gets_the_default() -> None:
    assert chunk_size_for(None) == CHUNK_SIZE_DEFAULT
