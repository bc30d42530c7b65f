"""Ranges of requests, by the book."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repod.proto.byte_range import requested_range


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        (None, (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-500", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-500", (0, 100)),
        (" Bytes=1-2 ", (1, 3)),
        ("bytes=100-", None),
        ("bytes=100-200", None),
        ("bytes=-0", None),
        ("bytes=-", (0, 100)),
        ("bytes=9-1", (0, 100)),
        ("bytes=1-2,5-6", (0, 100)),
        ("bytes=٣-٤", (0, 100)),
        ("bytes=" + "9" * 5000 + "-", (0, 100)),
        ("pages=1-2", (0, 100)),
    ],
)
def test_what_is_asked_for(header: str | None, meant: tuple[int, int] | None) -> None:
    assert requested_range(header, 100) == meant


@given(
    header=st.text(max_size=30) | st.builds("bytes={}-{}".format, st.integers(0, 2**64), st.integers(0, 2**64)),
    size=st.integers(0, 2**62),
)
def test_whatever_is_asked_for_lies_in_the_file(header: str, size: int) -> None:
    meant = requested_range(header, size)
    if meant is not None:
        assert 0 <= meant[0] <= meant[1] <= size
