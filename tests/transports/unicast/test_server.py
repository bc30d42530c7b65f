"""The server admits so many, refuses the rest by name, and outlives every guest."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from core.errors import LocalError, LockedError, UsageError
from transports.base import Offer, ServerContext
from transports.unicast.proto.frames import Header, Op, Status
from transports.unicast.server import UnicastServer

Events = list[tuple[str, Mapping[str, Any]]]


@contextlib.asynccontextmanager
async def _server(events: Events | None = None, **settings: Any) -> AsyncIterator[UnicastServer]:
    def on_event(name: str, fields: Mapping[str, Any]) -> None:
        if events is not None:
            events.append((name, fields))

    server = UnicastServer(
        ServerContext(
            host="127.0.0.1", advertise=None, interface=None, settings={"port": 0} | settings, on_event=on_event
        )
    )
    await server.start()
    try:
        async with asyncio.timeout(10):
            yield server
    finally:
        await server.stop(grace_s=1)


async def _answer(server: UnicastServer, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


@pytest.mark.asyncio
async def test_a_port_in_use_is_an_error_with_a_hint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(LockedError) as caught:
            async with _server(port=taken.getsockname()[1]):
                pass
        assert "[transports.unicast]" in str(caught.value.hint)


@pytest.mark.asyncio
async def test_an_address_that_is_not_ours_is_an_error_with_a_hint() -> None:
    context = ServerContext(
        host="192.0.2.1", advertise=None, interface=None, settings={"port": 0}, on_event=lambda name, fields: None
    )
    with pytest.raises(LocalError) as caught:
        await UnicastServer(context).start()
    assert caught.value.hint


def test_settings_are_checked_at_once() -> None:
    with pytest.raises(UsageError):
        UnicastServer(
            ServerContext(host="", advertise=None, interface=None, settings={"prot": 1}, on_event=lambda n, f: None)
        )


@pytest.mark.asyncio
async def test_offers_name_an_address_others_can_use() -> None:
    async with _server() as server:
        assert server._offer() == Offer(transport="unicast", parameters={"port": server.port, "host": "127.0.0.1"})


@pytest.mark.asyncio
async def test_garbage_is_answered_with_a_reason_counted_and_told() -> None:
    events: Events = []
    async with _server(events) as server:
        answer = await _answer(server, b"GET / HTTP/1.1\r\nHost: repository\r\n\r\n")
        header = Header.parse(answer[:24])
        assert (header.op, header.status) == (Op.LEASE_BREAK, Status.VIOLATION)
        await _until(lambda: server.counters()["clients"] == 0)
        assert server.counters()["violations"] == 1
        assert [name for name, _ in events] == ["lane_broken"]


@pytest.mark.asyncio
async def test_a_stranger_that_trickles_is_closed() -> None:
    async with _server(handshake_timeout_s=0.1) as server:
        answer = await _answer(server, b"OG")
        assert Header.parse(answer[:24]).status is Status.TIMEOUT
        await _until(lambda: server.counters()["clients"] == 0)
        assert server.counters()["timeouts"] == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("limit", ["max_lanes", "max_lanes_per_address"])
async def test_one_lane_too_many_is_refused_and_counted(limit: str) -> None:
    async with _server(**{limit: 1}) as server:
        _, first = await asyncio.open_connection("127.0.0.1", server.port)
        await _until(lambda: server.counters()["clients"] == 1)
        answer = await _answer(server, b"")
        assert Header.parse(answer[:24]).status is Status.BUSY
        assert server.counters()[f"limit_{limit}"] == 1
        first.close()
        await first.wait_closed()
        await _until(lambda: server.counters()["clients"] == 0)


async def _until(condition: Any) -> None:
    """The lane thread does it in its own time; the caller's timeout bounds this."""
    while not condition():  # noqa: ASYNC110 - another thread changes it
        await asyncio.sleep(0.005)
