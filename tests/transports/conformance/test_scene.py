"""A scene is torn down whatever happens in it."""

from __future__ import annotations

import pytest

from transports.conformance.scene import Rig, require, serving
from transports.memory import MemoryClient, MemoryServer


@pytest.mark.asyncio
async def test_a_check_that_fails_says_why() -> None:
    with pytest.raises(AssertionError, match="because"):
        async with serving(Rig(server=MemoryServer, client=MemoryClient), chunks=1):
            require(False, "because")
