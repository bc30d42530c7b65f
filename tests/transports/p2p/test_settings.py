"""The table of repod.toml is checked key by key."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from core.errors import UsageError
from transports.p2p.proto.options import SwarmOptions
from transports.p2p.settings import SwarmSettings


def test_an_empty_table_gives_the_defaults() -> None:
    settings = SwarmSettings.load({})
    assert settings == SwarmSettings()
    assert settings.options == SwarmOptions(mode="peer", seconds=60)


def test_every_key_has_an_explanation() -> None:
    assert all(field.metadata["doc"] for field in dataclasses.fields(SwarmSettings))


def test_what_is_set_arrives() -> None:
    table = {"port": 9000, "mode": "leecher", "upload_mbit_per_s": 50, "streams": 3, "max_members": 7}
    settings = SwarmSettings.load(table)
    assert (settings.port, settings.mode, settings.upload_mbit_per_s) == (9000, "leecher", 50.0)
    assert SwarmSettings.load({"subnets": {"10.1.2.0/24": 5}}).subnets == {"10.1.2.0/24": 5.0}
    assert (settings.rules.streams, settings.rules.max_members) == (3, 7)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("port", 65536),
        ("port", "8720"),
        ("port", True),
        ("mode", "boss"),
        ("mode", 1),
        ("dscp", 64),
        ("streams", 0),
        ("linger_s", -1),
        ("seconds", 1.5),
        ("max_members", 5000),
        ("subnets", 5),
        ("subnets", {"": 5}),
        ("subnets", {"10.1.2.0/24": "fast"}),
        ("subnets", {"10.1.2.0/24": -1}),
        ("subnet_mbit_per_s", 1e9),
    ],
)
def test_a_value_out_of_bounds_is_named_with_what_is_expected(key: str, value: Any) -> None:
    with pytest.raises(UsageError, match=key) as caught:
        SwarmSettings.load({key: value})
    assert caught.value.hint


def test_a_misspelt_key_is_guessed() -> None:
    with pytest.raises(UsageError) as caught:
        SwarmSettings.load({"stream": 3})
    assert "streams" in (caught.value.hint or "")
