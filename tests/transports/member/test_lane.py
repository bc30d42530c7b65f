"""Handshake and messages over a real connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop

from core.errors import AuthenticationError, ConnectionFailedError, ProtocolError, RemoteError
from transports.member.handshake import admit, enter
from transports.member.lane import MemberLane
from transports.multicast.proto.lane import DECODER, Done, Leave

KEY = bytes(range(32))
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def connected(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Streams]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port)
        try:
            yield reader, writer
        finally:
            writer.close()


@pytest.mark.asyncio
async def test_who_knows_the_key_comes_in_and_messages_flow() -> None:
    heard: list[object] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await admit(reader, writer, find=lambda name: (KEY, name.upper())) == "S1"
        lane = MemberLane(reader, writer, DECODER)
        while (message := await lane.receive()) is not None:
            heard.append(message)
            lane.send(Done())
        over.set()

    async with connected(serve) as (reader, writer):
        await enter(reader, writer, session_id="s1", key=KEY)
        lane = MemberLane(reader, writer, DECODER)
        assert lane.peer == "127.0.0.1"
        lane.send(Leave(reason="enough"))
        assert await lane.receive() == Done()
        await lane.close()
        await lane.close()
        lane.send(Done())  # nobody is left to tell
        await asyncio.wait_for(over.wait(), 5)
    assert heard == [Leave(reason="enough")]


@pytest.mark.asyncio
@pytest.mark.parametrize("known", [True, False])
async def test_a_wrong_proof_and_an_unknown_session_are_refused_alike(known: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with pytest.raises(AuthenticationError):
            await admit(reader, writer, find=lambda name: (KEY, 1) if known else None)

    async with connected(serve) as (reader, writer):
        with pytest.raises(AuthenticationError):
            await enter(reader, writer, session_id="s1", key=bytes(32))


@pytest.mark.asyncio
async def test_a_server_that_hangs_up_is_a_broken_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with connected(serve) as (reader, writer):
        with pytest.raises(ConnectionFailedError):
            await enter(reader, writer, session_id="s1", key=KEY)


@pytest.mark.asyncio
@pytest.mark.parametrize("rubbish", [bytes(64), b"GET / HTTP/1.1\r\n\r\n" * 4])
async def test_rubbish_never_comes_in(rubbish: bytes) -> None:
    refused = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with pytest.raises(RemoteError):
            await admit(reader, writer, find=lambda name: (KEY, 1))
        refused.set()

    async with connected(serve) as (_, writer):
        writer.write(rubbish)
        await asyncio.wait_for(refused.wait(), 5)


@pytest.mark.asyncio
async def test_rubbish_on_the_lane_is_a_protocol_error() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\xff" * 64)
        await reader.read(1)

    async with connected(serve) as (reader, writer):
        with pytest.raises(ProtocolError):
            await MemberLane(reader, writer, DECODER).receive()


@pytest.mark.asyncio
async def test_a_peer_that_reads_nothing_is_cut_off() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    async with connected(serve) as (reader, writer):
        lane = MemberLane(reader, writer, DECODER)
        message = Leave(reason="x" * 500)
        for _ in range(100_000):
            lane.send(message)
            if lane.broken:
                break
        assert lane.broken


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up as a machine that was cut off does: what it did not read is answered by a reset."""
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_that_broke_unnoticed_takes_no_more_words(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """repod says good-bye on every lane when it stops; uvloop refuses to write to a closed one."""

    async def main() -> None:
        async with connected(_reset) as (reader, writer):
            lane = MemberLane(reader, writer, DECODER)
            lane.send(Done())
            with contextlib.suppress(ConnectionResetError):
                async with asyncio.timeout(10):
                    await reader.read()
            lane.send(Done())
            assert lane.broken
            await lane.part(Done())
            with pytest.raises(ConnectionFailedError):
                await enter(reader, writer, session_id="s1", key=KEY)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


@pytest.mark.asyncio
async def test_the_last_words_are_heard_though_the_other_side_was_speaking() -> None:
    heard: list[object] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lane = MemberLane(reader, writer, DECODER)
        first = await lane.receive()
        for _ in range(50):
            lane.send(Done())
            await asyncio.sleep(0)
        heard.append(first)
        while (message := await lane.receive()) is not None:
            heard.append(message)
        over.set()

    async with connected(serve) as (reader, writer):
        lane = MemberLane(reader, writer, DECODER)
        await lane.part(*[Leave(reason=str(number)) for number in range(100)])
        assert lane.broken
        async with asyncio.timeout(10):
            await over.wait()
    assert heard == [Leave(reason=str(number)) for number in range(100)]
