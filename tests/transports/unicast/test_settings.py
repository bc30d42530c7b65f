"""[transports.unicast] of repod.toml is checked key by key."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import UsageError
from transports.unicast.settings import DEFAULT_PORT, UnicastSettings


def test_an_empty_table_means_the_defaults() -> None:
    assert UnicastSettings.load({}).port == DEFAULT_PORT == 8718


def test_what_is_given_counts() -> None:
    settings = UnicastSettings.load({"port": 0, "idle_timeout_s": 5})
    assert (settings.port, settings.idle_timeout_s) == (0, 5.0)


def test_an_unknown_key_is_an_error_that_guesses() -> None:
    with pytest.raises(UsageError) as caught:
        UnicastSettings.load({"idle_timeout": 5})
    assert "idle_timeout_s" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("key", "value"),
    [("port", 65536), ("port", "8718"), ("port", True), ("port", 1.5), ("idle_timeout_s", 0), ("max_lanes", -1)],
)
def test_values_out_of_bounds_are_errors(key: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        UnicastSettings.load({key: value})
    assert key in str(caught.value)
