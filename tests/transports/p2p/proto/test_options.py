"""OpenGnsys' option string of the torrent protocols."""

from __future__ import annotations

import pytest

from core.errors import UsageError
from transports.p2p.proto.options import SwarmOptions, parse_options

DEFAULT = SwarmOptions(mode="peer", seconds=60)


@pytest.mark.parametrize(
    ("text", "mode", "seconds"),
    [
        ("", "peer", 60),
        ("  ", "peer", 60),
        ("peer:120", "peer", 120),
        ("SEEDER:10000", "seeder", 10_000),
        ("seeder", "seeder", 0),
        ("leecher:0", "leecher", 0),
        ("leecher", "leecher", 60),
    ],
)
def test_strings_of_the_consoles_are_understood(text: str, mode: str, seconds: int) -> None:
    assert parse_options(text, default=DEFAULT) == SwarmOptions(mode=mode, seconds=seconds)


def test_a_repository_of_seeders_still_knows_what_a_peer_is() -> None:
    default = SwarmOptions(mode="seeder", seconds=60)
    assert parse_options("", default=default) == SwarmOptions(mode="seeder", seconds=0)
    assert parse_options("peer", default=default) == DEFAULT


@pytest.mark.parametrize(
    "text", ["boss", "boss:60", "peer:", "peer:x", "peer:-1", "peer:60:60", "peer:9999999999", "peer:٣", ":60", "9000"]
)
def test_others_are_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_options(text, default=DEFAULT)
    assert caught.value.hint
