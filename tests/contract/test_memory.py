"""The reference transport keeps the contract: so the checks ask for nothing a plain implementation cannot do."""

from __future__ import annotations

import pytest

from transports.conformance import CHECKS, Check, Rig
from transports.memory import MemoryClient, MemoryServer


@pytest.mark.asyncio
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_memory_keeps_the_contract(check: Check) -> None:
    await check(Rig(server=MemoryServer, client=MemoryClient))
