"""What the reference transport refuses; tests/contract holds what it does."""

from __future__ import annotations

import pytest

from core.errors import UsageError
from core.ids import SessionId
from transports.base import CaptureGrant, ServerContext
from transports.conformance.sample import SampleStore
from transports.memory import MemoryServer


def test_it_carries_no_captures() -> None:
    context = ServerContext(host="", advertise=None, interface=None, settings={}, on_event=lambda name, fields: None)
    with SampleStore() as store, pytest.raises(UsageError):
        MemoryServer(context).open_capture(
            CaptureGrant(id=SessionId("c"), key=bytes(32), writer=store, chunk_bytes=65536)
        )
