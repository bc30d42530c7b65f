"""Reading past the page cache: whole sectors or not at all, and short gaps read along."""

from __future__ import annotations

import itertools
import mmap
import os
import random
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from images.extents import Extent, Kind
from images.importers import FileSystemUse, ImportOptions, open_source
from images.importers.direct import READ_THROUGH_BYTES, DirectReader, joined

MIB = 1 << 20


def aligned(length: int) -> memoryview:
    return memoryview(mmap.mmap(-1, length))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 20)), max_size=30), st.integers(0, 20))
def test_pieces_are_joined_over_short_gaps_only(runs: list[tuple[int, int]], gap_max: int) -> None:
    pieces, at = [], 0
    for length, gap in runs:
        pieces.append(Extent(at + gap, length, Kind.DATA))
        at += gap + length
    found = list(joined(pieces, gap_max))
    assert [piece for run in found for piece in run] == pieces
    for run in found:
        assert all(after.start - before.stop <= gap_max for before, after in itertools.pairwise(run))
    assert all(after[0].start - before[-1].stop > gap_max for before, after in itertools.pairwise(found))


@pytest.mark.root
@pytest.mark.parametrize("sector_bytes", [512, 4096])
def test_whole_sectors_are_read_and_nothing_else(loop: Callable[..., Path], tmp_path: Path, sector_bytes: int) -> None:
    content = random.Random(1).randbytes(MIB)
    (tmp_path / "disk").write_bytes(content)
    fd = os.open(loop(tmp_path / "disk", sector_bytes=sector_bytes, read_only=True), os.O_RDONLY)
    reader = DirectReader(fd, sector_bytes)
    try:
        view = aligned(64 * 1024)
        assert reader.read(8192, view)
        assert view == content[8192 : 8192 + len(view)]
        assert reader.read(MIB - sector_bytes, view[:sector_bytes])
        assert view[:sector_bytes] == content[-sector_bytes:]
        assert not reader.read(8192 + 1, view)
        assert not reader.read(8192, view[:100])
        assert not reader.read(MIB - 4096, view), "it ends before the view is full"
        reader.close()
        reader.close()
        assert not reader.read(8192, view)
    finally:
        reader.close()
        os.close(fd)


@pytest.mark.root
def test_a_device_gives_its_pieces_whatever_their_place(loop: Callable[..., Path], tmp_path: Path) -> None:
    content = random.Random(2).randbytes(MIB)
    (tmp_path / "disk").write_bytes(content)
    places = [(0, 512), (1024, 4096), (5121, 100), (300_000, READ_THROUGH_BYTES), (700_000, MIB - 700_000)]
    pieces = [Extent(start, length, Kind.DATA) for start, length in places]
    with open_source(str(loop(tmp_path / "disk")), options=ImportOptions(fs=FileSystemUse.NONE)) as source:
        view = aligned(MIB)
        source.read_pieces(pieces, 0, view)
        for piece in pieces:
            assert view[piece.start : piece.stop] == content[piece.start : piece.stop]
