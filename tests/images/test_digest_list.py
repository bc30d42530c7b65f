"""A list of digests in little memory behaves as a list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import Digest
from images.digest import digest_of
from images.digest_list import DigestList, first_of_each


def test_digests_come_back_in_order() -> None:
    digests = [digest_of(bytes([n])) for n in range(5)]
    found = DigestList()
    for digest in digests:
        found.append(digest)
    assert list(found) == digests
    assert found[-1] == digests[-1]
    assert found[1:3] == digests[1:3]
    assert len(found) == 5
    with pytest.raises(IndexError):
        found[5]


def test_a_view_reads_what_lies_in_somebody_elses_buffer() -> None:
    digests = [digest_of(bytes([n])) for n in range(4)]
    data = b"head" + b"".join(bytes(8) + digest for digest in digests)
    view = DigestList(data, first=12, step=40, count=4)
    assert view == digests
    assert view[2] == digests[2]
    assert digests[3] in view
    assert view != digests[:3]
    assert view != 5
    with pytest.raises(TypeError, match="does not grow"):
        view.append(digests[0])


@given(st.lists(st.integers(0, 5), max_size=40))
def test_the_first_of_each_is_what_a_set_would_keep(numbers: list[int]) -> None:
    found = DigestList()
    found.extend(Digest(bytes(24) + number.to_bytes(8, "big")) for number in numbers)  # equal in all words but one
    assert first_of_each(found.as_array()).tolist() == sorted(
        {number: at for at, number in reversed(list(enumerate(numbers)))}.values()
    )
