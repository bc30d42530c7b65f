"""Which interface and rate a cast gets."""

from __future__ import annotations

import random

import pytest

from core.errors import UsageError
from transports.base import ServerContext
from transports.multicast.making import CastMaker
from transports.multicast.settings import MulticastSettings


def _maker(*, host: str = "127.0.0.1", interface: str | None = None, **settings: object) -> CastMaker:
    context = ServerContext(
        host=host, advertise=None, interface=interface, settings={}, on_event=lambda name, fields: None
    )
    return CastMaker(
        context, MulticastSettings.load(settings), on_event=lambda root, cast, name, fields: None, rng=random.Random(1)
    )


def test_the_interface_is_the_one_named_or_the_one_of_the_address() -> None:
    assert _maker().interface().name == "lo"
    assert _maker(host="0.0.0.0", interface="lo").interface().name == "lo"
    assert _maker(host="0.0.0.0").interface().up
    with pytest.raises(UsageError, match="nowhere0"):
        _maker(interface="nowhere0").interface()


def test_the_budget_is_what_repod_toml_says_or_a_gigabit_at_most() -> None:
    maker = _maker(rate_mbit_per_s=80)
    assert maker.budget_bytes_per_s(maker.interface()) == 10_000_000
    assert _maker().budget_bytes_per_s(maker.interface()) <= 125_000_000
