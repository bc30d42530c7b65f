"""The short table says what the transports say themselves."""

from __future__ import annotations

import pytest

from core.errors import UsageError
from transports import registry
from transports.listeners import LISTENERS, SHARED, SILENT, listeners_for


def test_the_table_is_that_of_the_registry() -> None:
    specs = [registry.by_name(name) for name in registry.BUILT_IN]
    assert {spec.protocol: (spec.name, spec.early) for spec in specs if spec.early} == LISTENERS
    assert tuple(spec.protocol for spec in specs if spec.early and spec.capabilities.shared_send) == SHARED
    assert {spec.protocol for spec in specs if not spec.early} == SILENT


def test_a_protocol_has_its_own_listener_and_who_chooses_those_of_many() -> None:
    assert listeners_for("TORRENT", chooses=False) == {"p2p": "transports.p2p.early:listen"}
    assert listeners_for("AUTO", chooses=True) == {"multicast": "transports.multicast.early:listen"}
    assert listeners_for("UNICAST", chooses=False) == {}
    with pytest.raises(UsageError):
        listeners_for("NOBODY", chooses=False)
