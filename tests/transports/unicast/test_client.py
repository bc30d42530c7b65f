"""The client half refuses what cannot work before it connects; tests/contract holds what it does."""

from __future__ import annotations

import pytest

from core.arena import Arena
from core.errors import UsageError
from core.ids import SessionId
from core.wantmap import WantMap
from transports.base import ClientContext, Offer
from transports.conformance.sample import sample_image
from transports.unicast.client import UnicastClient


@pytest.mark.asyncio
async def test_slots_too_small_for_a_chunk_are_a_mistake() -> None:
    manifest, store, _ = sample_image(chunks=2)
    store.close()
    client = UnicastClient(
        ClientContext(repository_host="h", interface=None, state_dir=None, on_event=lambda name, fields: None)
    )
    with pytest.raises(UsageError):
        async with client.fetch(
            Offer(transport="unicast", parameters={"port": 1}),
            session_id=SessionId("s"),
            key=bytes(32),
            manifest=manifest,
            want=WantMap(2),
            arena=Arena(slot_bytes=100, slots=1),
        ):
            pass
