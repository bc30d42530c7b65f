"""A port for member lanes, and words for what keeps it from being one."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import LocalError, LockedError
from transports.member.listening import listen_for_lanes

pytestmark = pytest.mark.asyncio


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_who_connects_is_handled(host: str) -> None:
    listener = await listen_for_lanes(_hang_up, host=host, port=0, transport="x")
    async with listener:
        reader, writer = await asyncio.open_connection(host, listener.sockets[0].getsockname()[1])
        assert await reader.read() == b""
        writer.close()


async def test_a_port_that_is_taken_and_an_address_that_is_none_of_ours_are_told_apart() -> None:
    listener = await listen_for_lanes(_hang_up, host="127.0.0.1", port=0, transport="x")
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(LockedError, match=f"port {port} is in use") as taken:
            await listen_for_lanes(_hang_up, host="127.0.0.1", port=port, transport="x")
        assert "[transports.x]" in (taken.value.hint or "")
    with pytest.raises(LocalError, match=r"cannot listen on 192\.0\.2\.7"):
        await listen_for_lanes(_hang_up, host="192.0.2.7", port=0, transport="x")
