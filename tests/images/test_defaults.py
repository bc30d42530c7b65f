"""Defaults of image making are legal values."""

from __future__ import annotations

from images.builder import fitting_chunk_size
from images.defaults import CHUNK_SIZE_DEFAULT, CHUNK_SIZE_SMALL, SMALL_IMAGE, ZSTD_LEVEL_DEFAULT, chunk_size_for


def test_defaults_are_legal() -> None:
    assert fitting_chunk_size(0, CHUNK_SIZE_DEFAULT) == CHUNK_SIZE_DEFAULT
    assert 1 <= ZSTD_LEVEL_DEFAULT <= 19


def test_a_small_image_has_smaller_chunks() -> None:
    for size in (0, 64 << 20, SMALL_IMAGE - 1):
        assert chunk_size_for(size) == CHUNK_SIZE_SMALL == 1 << 20
    for size in (SMALL_IMAGE, 100_000 << 20):
        assert chunk_size_for(size) == CHUNK_SIZE_DEFAULT == 4 << 20


def test_an_image_of_unknown_size_gets_the_default() -> None:
    assert chunk_size_for(None) == CHUNK_SIZE_DEFAULT
