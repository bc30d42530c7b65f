"""A target is the image when DATA is the source's, ZERO is zero, and SKIP is whatever it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.compare import PIECE_BYTES, first_difference, stain
from images.extents import ExtentsBuilder, Kind

LENGTH = PIECE_BYTES + 1024


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A source with DATA, ZERO, SKIP runs of LENGTH each, and a perfect target over a stained file."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"d" * LENGTH + b"?" * LENGTH + b"s" * LENGTH)
    stain(target, 3 * LENGTH)
    with target.open("r+b") as file:
        file.write(b"d" * LENGTH + bytes(LENGTH))
    return source, target


def _extents() -> ExtentsBuilder:
    builder = ExtentsBuilder()
    for kind in (Kind.DATA, Kind.ZERO, Kind.SKIP):
        builder.add(LENGTH, kind)
    return builder


def test_free_space_does_not_matter(pair: tuple[Path, Path]) -> None:
    source, target = pair
    assert target.stat().st_size == 3 * LENGTH
    assert target.read_bytes()[-1] == 0xA5
    assert first_difference(source, target, _extents().finish()) is None


@pytest.mark.parametrize("place", [0, LENGTH - 1, LENGTH, 2 * LENGTH - 1])
def test_one_wrong_byte_is_found(pair: tuple[Path, Path], place: int) -> None:
    source, target = pair
    with target.open("r+b") as file:
        file.seek(place)
        file.write(b"!")
    found = first_difference(source, target, _extents().finish())
    assert found is not None
    assert found <= place < found + PIECE_BYTES


def test_a_short_target_is_not_the_image(pair: tuple[Path, Path]) -> None:
    source, target = pair
    with target.open("r+b") as file:
        file.truncate(LENGTH + 10)
    assert first_difference(source, target, _extents().finish()) is not None
