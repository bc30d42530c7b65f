"""What repod.toml says reaches the machines."""

from __future__ import annotations

from transports.p2p.proto.rules import SwarmRules
from transports.p2p.settings import SwarmSettings


def test_the_defaults_are_those_of_the_settings() -> None:
    rules = SwarmSettings().rules
    assert (rules.streams, rules.window, rules.slots) == (
        SwarmRules().streams,
        SwarmRules().window,
        SwarmRules().slots,
    )
