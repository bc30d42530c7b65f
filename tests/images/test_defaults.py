"""Defaults of image making are legal values."""

from __future__ import annotations

from images.builder import fitting_chunk_size
from images.defaults import CHUNK_SIZE_DEFAULT, CHUNK_SIZE_LEAST, CHUNKS_LEAST, ZSTD_LEVEL_DEFAULT, chunk_size_for


def test_defaults_are_legal() -> None:
    assert fitting_chunk_size(0, CHUNK_SIZE_DEFAULT) == CHUNK_SIZE_DEFAULT
    assert 1 <= ZSTD_LEVEL_DEFAULT <= 19


def test_a_small_image_has_smaller_chunks_down_to_the_least() -> None:
    mib = 1 << 20
    sizes = {0: 1, 64: 1, 255: 1, 256: 2, 511: 2, 512: 4, 100_000: 4}
    assert {size: chunk_size_for(size * mib) // mib for size in sizes} == sizes
    for size in (size * mib for size in sizes if size):
        assert size // chunk_size_for(size) >= CHUNKS_LEAST or chunk_size_for(size) == CHUNK_SIZE_LEAST


def test_an_image_of_unknown_size_gets_the_default() -> None:
    assert chunk_size_for(None) == CHUNK_SIZE_DEFAULT
