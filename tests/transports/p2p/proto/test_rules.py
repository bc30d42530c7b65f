"""What repod.toml says reaches the machines."""

from __future__ import annotations

from transports.p2p.proto.rules import WINDOW_BYTES, SwarmRules
from transports.p2p.settings import SwarmSettings


def test_the_defaults_are_those_of_the_settings() -> None:
    rules = SwarmSettings().rules
    assert (rules.streams, rules.window, rules.slots) == (
        SwarmRules().streams,
        SwarmRules().window,
        SwarmRules().slots,
    )


def test_small_chunks_do_not_make_the_window_of_a_swarm_small() -> None:
    assert SwarmRules(window=256).reaching(WINDOW_BYTES // 256).window == 256
    assert SwarmRules(window=256).reaching(1 << 20).window == WINDOW_BYTES >> 20
    assert SwarmRules(window=256).reaching(16 << 20).window == 256
    assert SwarmRules(window=4096).reaching(1 << 20).window == 4096
    assert SwarmRules(window=256, slots=3).reaching(1 << 20).slots == 3
