"""The lane of a cast is a member lane (tests/transports/member/test_lane.py) that knows the messages of casts."""

from __future__ import annotations

import asyncio

import pytest

from transports.member.proto.framing import encode_message
from transports.multicast.lane import MemberLane
from transports.multicast.proto.lane import Done, Leave

pytestmark = pytest.mark.asyncio


async def test_it_reads_the_messages_of_a_cast() -> None:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lane = MemberLane(reader, writer)
        assert await lane.receive() == Done()
        assert await lane.receive() == Leave(reason="enough")
        assert await lane.receive() is None
        await lane.close()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        _, writer = await asyncio.open_connection(host, port)
        writer.write(encode_message(Done()) + encode_message(Leave(reason="enough")))
        writer.close()
        await asyncio.wait_for(over.wait(), 5)
