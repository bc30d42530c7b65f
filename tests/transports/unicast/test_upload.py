"""An upload cut off is a connection that failed, for everybody who waits."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import ConnectionFailedError
from core.ids import SessionId
from transports.unicast.upload import upload


@pytest.mark.asyncio
async def test_a_repository_that_hangs_up_fails_the_upload() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionFailedError):
            async with upload("127.0.0.1", port, session_id=SessionId("c"), key=bytes(32), stall_s=5):
                pytest.fail("the lock was never given")
