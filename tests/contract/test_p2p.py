"""P2P over real loopback sockets keeps the contract of transports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from transports.conformance import CHECKS, Check, Rig
from transports.registry import by_name, load_client, load_server


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_p2p_keeps_the_contract(check: Check, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    spec = by_name("p2p")
    rig = Rig(server=load_server(spec), client=load_client(spec), settings={"port": 0})

    async def main() -> None:
        await check(rig)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
