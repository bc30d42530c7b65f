"""Reading partclone images: every mode, and every way to be damaged."""

from __future__ import annotations

import io
import random

import hypothesis.strategies as st
import pytest
from hypothesis import given

from core.errors import ImageFileError
from images.extents import Extent, Kind
from images.partclone.reader import PartcloneReader
from tests.images.partclone_images import v1_image, v2_header, v2_image

BLOCK = 512


class Drip:
    """A stream; the reader must ask for the rest when it gets exact reads of any size."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def readinto(self, view: memoryview) -> int:
        return self._file.readinto(view)


def read_all(data: bytes, *, step: int = 10**9) -> bytes:
    """The whole image, free blocks as dots, read in pieces of at most `step` bytes."""
    reader = PartcloneReader(Drip(data))
    try:
        content = bytearray(b"." * reader.extents.size)
        for extent in reader.extents:
            if extent.kind is Kind.DATA:
                for start in range(extent.start, extent.stop, step):
                    length = min(step, extent.stop - start)
                    reader.read_data(Extent(start, length, Kind.DATA), memoryview(content)[start : start + length])
        reader.finish()
        return bytes(content)
    finally:
        reader.close()


def blocks_of(pattern: str, seed: int = 1) -> list[bytes | None]:
    rng = random.Random(seed)
    return [rng.randbytes(BLOCK) if letter == "x" else None for letter in pattern]


def plain(blocks: list[bytes | None], tail: int = 0) -> bytes:
    return b"".join(block if block is not None else b"." * BLOCK for block in blocks) + b"." * tail


@pytest.mark.parametrize("reseed", [True, False])
@pytest.mark.parametrize("mode", [0, 0x20, 0x30, 0x31])
@pytest.mark.parametrize("pattern", ["x", "xxx", "x.xx..x", "..xxxxx", "....", ""])
def test_every_checksum_mode_is_read(mode: int, reseed: bool, pattern: str) -> None:
    blocks = blocks_of(pattern)
    assert read_all(v2_image(blocks, mode=mode, reseed=reseed)) == plain(blocks)


@pytest.mark.parametrize("bitmap", [1, 8])
def test_both_kinds_of_map_are_read(bitmap: int) -> None:
    blocks = blocks_of("xx..x.x")
    assert read_all(v2_image(blocks, bitmap=bitmap)) == plain(blocks)


def test_an_image_without_map_is_all_used() -> None:
    blocks = blocks_of("xxxx")
    assert read_all(v2_image(blocks, bitmap=0)) == plain(blocks)


def test_the_tail_after_the_last_block_belongs_to_the_image() -> None:
    blocks = blocks_of("xx.")
    assert read_all(v2_image(blocks, tail=512)) == plain(blocks, 512)


@pytest.mark.parametrize("field", [4, 8])
@pytest.mark.parametrize("pattern", ["x", "xx", "x..xxx.", "...", ".x"])
def test_version_1_tells_the_length_of_its_checksums_by_its_data(field: int, pattern: str) -> None:
    blocks = blocks_of(pattern)
    assert read_all(v1_image(blocks, field_bytes=field, tail=512)) == plain(blocks, 512)


def test_version_1_with_equal_blocks_is_read() -> None:
    blocks: list[bytes | None] = [bytes(BLOCK)] * 5
    assert read_all(v1_image(blocks, field_bytes=8)) == plain(blocks)
    assert read_all(v1_image(blocks, field_bytes=4)) == plain(blocks)


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5), st.integers(1, 1500))
def test_reading_in_small_pieces_gives_the_same(flags: list[bool], per: int, step: int) -> None:
    blocks = blocks_of("".join("x" if flag else "." for flag in flags))
    image = v2_image(blocks, per=per)
    assert read_all(image, step=step) == read_all(image) == plain(blocks)


@pytest.mark.parametrize("image", [v2_image(blocks_of("xx.x")), v1_image(blocks_of("xx.x"), field_bytes=8)])
def test_every_truncation_is_found(image: bytes) -> None:
    for length in [*range(0, 200), *range(200, len(image), 37), len(image) - 1]:
        with pytest.raises(ImageFileError):
            read_all(image[:length])


def test_every_flipped_bit_is_found() -> None:
    image = v2_image(blocks_of("xx.x"))
    for at in [*range(0, 130), *range(130, len(image), 13), len(image) - 1]:
        bad = bytearray(image)
        bad[at] ^= 1 << (at % 8)
        with pytest.raises(ImageFileError):
            read_all(bytes(bad))


def test_bytes_after_the_end_are_refused() -> None:
    for image in (v2_image(blocks_of("x.x")), v1_image(blocks_of("x.x")), v2_image([])):
        with pytest.raises(ImageFileError, match="after the end"):
            read_all(image + b"\0")


def test_the_map_is_trusted_more_than_the_count_in_the_header() -> None:
    blocks = blocks_of("x.xx")
    image = v2_image(blocks)
    assert read_all(v2_header(total=4, used=1) + image[110:]) == plain(blocks)


def test_a_map_that_never_comes_is_no_reason_to_take_memory() -> None:
    with pytest.raises(ImageFileError, match="map of used blocks"):
        read_all(v2_header(total=2**36, used=1, block_size=4096))


def test_an_image_that_is_not_read_to_its_end_is_not_finished() -> None:
    reader = PartcloneReader(Drip(v2_image(blocks_of("x"))))
    with pytest.raises(ImageFileError, match="not read"):
        reader.finish()
    reader.close()
    reader.close()


def test_a_free_piece_inside_data_reads_as_zero() -> None:
    blocks = blocks_of("x.x")
    reader = PartcloneReader(Drip(v2_image(blocks)))
    content = bytearray(b"?" * 3 * BLOCK)
    reader.read_data(Extent(0, 3 * BLOCK, Kind.DATA), memoryview(content))
    reader.finish()
    reader.close()
    assert bytes(content) == plain(blocks).replace(b"." * BLOCK, bytes(BLOCK))
