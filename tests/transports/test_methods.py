"""Methods are read as OpenGnsys writes them."""

from __future__ import annotations

import pytest

from core.errors import UsageError
from transports.methods import Method, Target, parse_method


@pytest.mark.parametrize(
    ("text", "protocol", "target"),
    [
        ("UNICAST-DIRECT", "UNICAST", Target.DIRECT),
        ("unicast-cache", "UNICAST", Target.CACHE),
        ("UNICAST", "UNICAST", Target.CACHE),
        (" Torrent-Cache ", "TORRENT", Target.CACHE),
    ],
)
def test_a_method_is_protocol_and_target_in_any_case(text: str, protocol: str, target: Target) -> None:
    assert parse_method(text) == Method(protocol=protocol, target=target)


def test_a_method_prints_as_it_is_written() -> None:
    assert str(parse_method("unicast")) == "UNICAST-CACHE"


@pytest.mark.parametrize(
    "text", ["", "-", "UNICAST-", "UNICAST-DISK", "UNI CAST", "A-B-C", "UNICAST\0", "é", "X" * 300]
)
def test_anything_else_is_a_usage_error_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_method(text)
    assert caught.value.hint
