"""Writing partclone images: what is written is what is read, whatever the extents."""

from __future__ import annotations

import random

import hypothesis.strategies as st
import pytest
from hypothesis import given

from core.errors import UsageError
from images.extents import Extents, ExtentsBuilder, Kind
from images.partclone.writer import BLOCKS_PER_CHECKSUM, PartcloneWriter, export_block_size
from tests.images.partclone.test_reader import read_all


def write(extents: Extents, content: bytes, *, block_size: int, step: int = 1000) -> bytes:
    writer = PartcloneWriter(extents, fs="EXTFS", block_size=block_size)
    out = bytearray(b"".join(writer.head()))
    for first, blocks in writer.used_runs():
        start, stop = first * block_size, (first + blocks) * block_size
        for at in range(start, stop, step):
            for part in writer.data(memoryview(content)[at : min(at + step, stop)]):
                out += part
    return bytes(out + writer.tail())


@given(
    st.lists(st.tuples(st.integers(1, 3000), st.sampled_from(list(Kind))), max_size=12),
    st.sampled_from([512, 1024, 4096]),
    st.integers(1, 5000),
)
def test_what_is_written_is_read(runs: list[tuple[int, Kind]], block_size: int, step: int) -> None:
    builder = ExtentsBuilder()
    for length, kind in runs:
        builder.add(length, kind)
    builder.add(-builder.size % block_size, Kind.SKIP)
    extents = builder.finish()
    content = random.Random(3).randbytes(extents.size)
    read = read_all(write(extents, content, block_size=block_size, step=step))
    for extent in extents:
        if extent.kind is not Kind.SKIP:
            assert read[extent.start : extent.stop] == content[extent.start : extent.stop]


def test_groups_of_checksums_are_those_of_partclone() -> None:
    size = 512 * (BLOCKS_PER_CHECKSUM * 2 + 1)
    image = write(Extents.all_data(size), bytes(size), block_size=512)
    assert len(image) == 110 + (BLOCKS_PER_CHECKSUM * 2 + 1 + 7) // 8 + 4 + size + 3 * 4


def test_a_block_size_leaves_no_tail() -> None:
    assert export_block_size(8192, 4096) == 4096
    assert export_block_size(8192 + 512, 4096) == 512
    assert export_block_size(8192, 3000) == 2048
    assert export_block_size(0, 4096) == 4096
    assert export_block_size(2**30, 1) == 512
    with pytest.raises(UsageError, match="sectors"):
        export_block_size(1000, 4096)


def test_misuse_is_told() -> None:
    with pytest.raises(ValueError, match="divide"):
        PartcloneWriter(Extents.all_data(100), fs="", block_size=512)
    writer = PartcloneWriter(Extents.all_data(512), fs="", block_size=512)
    with pytest.raises(ValueError, match="not given"):
        writer.tail()
