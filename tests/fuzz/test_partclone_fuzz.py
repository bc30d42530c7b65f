"""Whatever bytes pretend to be a partclone image, the result is an image or a documented error, in little memory."""

from __future__ import annotations

import contextlib

import hypothesis.strategies as st
from hypothesis import given

from core.errors import ImageFileError
from tests.images.partclone.test_reader import blocks_of, read_all
from tests.images.partclone_images import v1_image, v2_header, v2_image

GOOD = [v2_image(blocks_of("x.xx")), v2_image(blocks_of("xx..x"), mode=0x31, bitmap=8), v1_image(blocks_of("x.xx"))]


def read_or_refuse(data: bytes) -> None:
    with contextlib.suppress(ImageFileError):
        read_all(data)


@given(st.binary(max_size=400))
def test_any_bytes_after_the_magic(data: bytes) -> None:
    read_or_refuse(b"partclone-image" + data)


@given(
    st.fixed_dictionaries(
        {
            "total": st.integers(0, 40) | st.integers(0, 2**64 - 1),
            "used": st.integers(0, 40) | st.integers(0, 2**64 - 1),
            "block_size": st.sampled_from([0, 1, 512, 4096, 2**26, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1),
            "device_size": st.integers(0, 20_000) | st.integers(0, 2**64 - 1),
            "mode": st.sampled_from([0, 1, 2, 3, 0x20, 0x30, 0x31, 0xFF, 0xFFFF]),
            "size": st.sampled_from([0, 4, 8, 16, 0xFFFF]),
            "per": st.integers(0, 5) | st.integers(0, 2**32 - 1),
            "reseed": st.integers(0, 255),
            "bitmap": st.sampled_from([0, 1, 2, 8, 255]),
            "fs": st.binary(max_size=16),
        }
    ),
    st.binary(max_size=3000),
)
def test_any_header_with_a_fitting_checksum(fields: dict[str, object], data: bytes) -> None:
    if fields["bitmap"] == 0 and isinstance(fields["total"], int) and fields["total"] > 40:
        fields["total"] = 40  # all of it would be DATA: the test, not the reader, would allocate the content
    if isinstance(fields["device_size"], int) and fields["device_size"] > 2**24:
        fields["device_size"] = 2**63  # as above; too large is refused
    read_or_refuse(v2_header(**fields) + data)  # type: ignore[arg-type]


@given(st.sampled_from(GOOD), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4), st.data())
def test_any_damage_to_a_good_image(image: bytes, changes: list[tuple[int, int]], data: st.DataObject) -> None:
    bad = bytearray(image)
    for at, value in changes:
        if 34 <= at % len(bad) < 110 or 30 <= at % len(bad) < 80:
            continue  # headers are the test above
        bad[at % len(bad)] = value
    read_or_refuse(bytes(bad[: data.draw(st.integers(0, len(bad)))]))
