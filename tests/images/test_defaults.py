"""Defaults of image making are legal values."""

from __future__ import annotations

from images.builder import fitting_chunk_size
from images.defaults import CHUNK_SIZE_DEFAULT, ZSTD_LEVEL_DEFAULT


def test_defaults_are_legal() -> None:
    assert fitting_chunk_size(0, CHUNK_SIZE_DEFAULT) == CHUNK_SIZE_DEFAULT
    assert 1 <= ZSTD_LEVEL_DEFAULT <= 19
