"""Capture checks are complete and fail for a transport that carries none."""

from __future__ import annotations

import pytest

from core.errors import UsageError
from transports.conformance.captures import CAPTURE_CHECKS
from transports.conformance.scene import Rig
from transports.memory import MemoryClient, MemoryServer


@pytest.mark.asyncio
async def test_a_transport_without_captures_does_not_pass() -> None:
    for check in CAPTURE_CHECKS:
        with pytest.raises(UsageError):
            await check(Rig(server=MemoryServer, client=MemoryClient))
