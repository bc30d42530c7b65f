"""Messages of the control API: whatever arrives is a message or a UsageError, and messages survive the way."""

from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from repod.api.bodies import decode_message
from transports import control

MESSAGES = [getattr(control, name) for name in control.__all__ if isinstance(getattr(control, name), type)]
REQUESTS = [control.SessionRequest, control.SessionReport, control.CaptureRequest]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
fields = sorted({field for kind in REQUESTS for field in kind.__struct_fields__})


@pytest.mark.parametrize("kind", MESSAGES)
@given(data=st.binary(max_size=300))
def test_bytes_are_a_message_or_a_usage_error(kind: type, data: bytes) -> None:
    with contextlib.suppress(UsageError):
        decode_message(data, kind)


@pytest.mark.parametrize("kind", REQUESTS)
@given(value=json_values | st.dictionaries(st.sampled_from(fields), json_values))
def test_json_is_a_message_within_its_bounds_or_a_usage_error(kind: type, value: object) -> None:
    try:
        message = decode_message(json.dumps(value).encode("utf-8", "surrogatepass"), kind)
    except UsageError:
        return
    for field in kind.__struct_fields__:
        text = getattr(message, field)
        assert not isinstance(text, str) or len(text) <= 1024
        assert not isinstance(text, int) or text >= 0


@given(
    st.builds(control.SessionReport, state=st.just("done"), have=st.integers(0, 2**53), message=st.text(max_size=99))
)
def test_a_message_survives_the_way(report: control.SessionReport) -> None:
    assert decode_message(msgspec.json.encode(report), control.SessionReport) == report
