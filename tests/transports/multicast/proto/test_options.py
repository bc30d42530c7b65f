from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from transports.multicast.proto.groups import Endpoint
from transports.multicast.proto.options import CastOptions, parse_options
from transports.multicast.proto.start import StartPolicy


def test_the_string_of_the_console_says_where_how_fast_and_when() -> None:
    options = parse_options("9000:full-duplex:239.194.17.36:70M:50:60")
    assert options.endpoint == Endpoint("239.194.17.36", 9000)
    assert options.rate_bytes_per_s == 8_750_000
    assert options.start == StartPolicy(clients=50, wait_s=60)


def test_a_group_of_ipv6_is_written_in_brackets() -> None:
    options = parse_options("9000:full-duplex:[ff15::4f47:17]:70M:50:60")
    assert options.endpoint == Endpoint("ff15::4f47:17", 9000)
    assert options.start == StartPolicy(clients=50, wait_s=60)
    assert str(options.endpoint) == "[ff15::4f47:17]:9000"


def test_one_client_is_waited_for_as_little_as_nobody() -> None:
    options = parse_options("9000:full-duplex:239.194.17.36:70M:1:0")
    assert options.start is not None
    assert options.start.at_once


def test_the_string_of_the_engine_says_how_long_to_wait() -> None:
    assert parse_options("9000:10.1.1.5:60:120") == CastOptions(port=9000, start_timeout_s=60, receive_timeout_s=120)
    assert parse_options("9000:10.1.1.5:0:0") == CastOptions(port=9000)
    assert parse_options("9000") == CastOptions(port=9000)


def test_nothing_asks_for_nothing() -> None:
    assert parse_options(" ") == CastOptions()


@pytest.mark.parametrize(
    "text",
    [
        "nine:full-duplex:239.194.17.36:70M:50:60",
        "9000:duplex:239.194.17.36:70M:50:60",
        "9000:broadcast:239.194.17.36:70M:50:60",
        "9000:full-duplex:10.1.1.1:70M:50:60",
        "9000:full-duplex:224.0.0.1:70M:50:60",
        "9000:full-duplex:239.194.17.36:70:50:60",
        "9000:full-duplex:239.194.17.36:0M:50:60",
        "9000:full-duplex:239.194.17.36:70M:-1:60",
        "9000:full-duplex:239.194.17.36:70M:0:60",
        "9000:full-duplex:ff15::4f47:17:70M:50:60",
        "9000:full-duplex:[ff15::4f47:17:70M:50:60",
        "9000:full-duplex:[ff15::4f47:17]70M:50:60",
        "9000:full-duplex[ff15::4f47:17]:70M:50:60",
        "9000:full-duplex:[ff02::1]:70M:50:60",
        "9000:full-duplex:[ff15::4f47:17]:70M:50",
        "9000:[fd00::1]:60:120",
        "[",
        "9000:full-duplex:239.194.17.36:70M:50",
        "9000:full-duplex:239.194.17.36:70M:50:60:1",
        "9000:10.1.1.5:1:2:3",
        "9000:10.1.1.5:soon",
        "80",
        "99999",
        ":",
        "9000:repository",
    ],
)
def test_a_malformed_string_is_refused_with_the_form_expected(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_options(text)
    assert caught.value.hint


@pytest.mark.parametrize("mode", ["", "duplex", "9"])
def test_an_unknown_mode_is_named_with_those_there_are(mode: str) -> None:
    with pytest.raises(UsageError, match=f"mode '{mode}'") as caught:
        parse_options(f"9000:{mode}:239.194.17.36:70M:50:60")
    assert caught.value.hint == "modes: full-duplex, half-duplex"


@given(st.text(alphabet="0123456789.:[]Mfull-duplex\n٣", max_size=80))
def test_any_text_is_options_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_options(text)
