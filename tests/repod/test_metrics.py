"""Metrics: the operator's page names every family, and totals of transports become counters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


@pytest.mark.asyncio
async def test_every_family_is_on_the_operators_page(daemon, publish) -> None:
    publish("win", b"x" * 1000)
    async with daemon() as api:
        await api.ask("POST", "/v1/sessions", json={"image": "win", "method": "unicast"})
        _, text, _ = await api.ask("GET", "/metrics", role=None)
    names = set(re.findall(r"^(\w+)(?:\{| )", text.decode(), re.MULTILINE))
    own = {name for name in names if name.startswith("ogcast_") and not name.startswith("ogcast_transport_")}
    assert own
    for name in own:
        assert f"`{name}`" in PAGE, name
    assert b'ogcast_events_total{event="session_opened"} 1.0' in text
    assert b'ogcast_transport_clients{transport="unicast"} 0.0' in text
