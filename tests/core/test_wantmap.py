"""A want-map counts, walks and travels as a set of chunk numbers would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ProtocolError
from core.wantmap import WantMap

COUNT = 70


@given(st.lists(st.tuples(st.booleans(), st.integers(0, COUNT - 1))))
def test_it_behaves_as_a_set(changes: list[tuple[bool, int]]) -> None:
    want, model = WantMap(COUNT, full=False), set[int]()
    for add, chunk in changes:
        count, differs = want.changes, add != (chunk in model)
        if add:
            want.add(chunk)
            model.add(chunk)
        else:
            assert want.discard(chunk) == (chunk in model)
            model.discard(chunk)
        assert want.changes == count + differs
        assert np.flatnonzero(want.flags).tolist() == sorted(model)
    with pytest.raises(ValueError, match="read-only"):
        want.flags[0] = True
    assert len(want) == len(model)
    assert list(want) == sorted(model)
    assert all((chunk in want) == (chunk in model) for chunk in range(-1, COUNT + 1))


@given(st.sets(st.integers(0, COUNT - 1)), st.integers(-1, COUNT), st.integers(0, COUNT))
def test_next_from_gives_the_first_few(chunks: set[int], start: int, limit: int) -> None:
    want = WantMap(COUNT, full=False)
    for chunk in chunks:
        want.add(chunk)
    assert want.next_from(start, limit) == [chunk for chunk in sorted(chunks) if chunk >= start][:limit]


@given(st.integers(0, COUNT), st.data())
def test_the_wire_form_reads_back(count: int, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(0, count - 1))) if count else set[int]()
    want = WantMap(count)
    want.discard_all(gone)
    again = WantMap.from_bytes(want.to_bytes(), count)
    assert list(again) == list(want)
    assert len(again) == len(want) == count - len(gone)


@given(st.binary(max_size=20), st.integers(0, 100))
def test_any_bytes_are_a_map_or_a_documented_error(data: bytes, count: int) -> None:
    try:
        want = WantMap.from_bytes(data, count)
    except ProtocolError:
        return
    assert want.to_bytes() == data


def test_it_may_change_while_it_is_walked() -> None:
    want = WantMap(5)
    for chunk in want:
        want.discard(chunk)
    assert len(want) == 0


def test_a_bit_beyond_the_image_is_refused() -> None:
    with pytest.raises(ProtocolError, match="does not have"):
        WantMap.from_bytes(b"\x08", 3)
