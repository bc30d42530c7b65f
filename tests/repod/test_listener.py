"""The listening socket: its errors, and the bound on connections."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import tomllib
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from core.callers import Callers
from core.errors import LockedError, UsageError
from repod.listener import _GONE_KEPT_MAX, Listener, bind


def test_a_free_port_is_found_and_a_taken_one_told() -> None:
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        assert port
        with pytest.raises(LockedError, match="in use"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.77", "no.such.host.invalid"])
def test_addresses_of_other_machines_are_refused(host: str) -> None:
    with pytest.raises(UsageError):
        bind(host, 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
def test_ipv6_is_an_address_like_any_other() -> None:
    try:
        sock = bind("::1", 0)
    except UsageError:
        pytest.skip("this machine has no IPv6 loopback")
    sock.close()


async def one_byte(port: int, tls: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        return await reader.readexactly(1)
    finally:
        writer.close()


@pytest.mark.asyncio
async def test_connections_beyond_the_limit_are_closed_at_once_and_counted(daemon, layout, monkeypatch) -> None:
    monkeypatch.setattr("core.callers.STRANGER_S", 1000.0)
    certificate = tomllib.loads(layout.client.read_text())["certificate"]
    async with daemon(**{"limits.connections": 2}) as api:
        port = int(api.url.rsplit(":", 1)[1])
        tls = ssl.create_default_context(cadata=certificate)
        held = [await asyncio.open_connection("127.0.0.1", port, ssl=tls) for _ in range(2)]
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await one_byte(port, tls)
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.1)
        _, text, _ = await api.ask("GET", "/metrics", role=None)
        assert b'ogcast_limit_reached_total{limit="connections"} 1.0' in text


@pytest.mark.asyncio
async def test_connections_that_never_shake_hands_count_too_and_do_not_stay(daemon, layout, monkeypatch) -> None:
    monkeypatch.setattr("repod.listener.TLS_HANDSHAKE_S", 0.5)
    monkeypatch.setattr("core.callers.STRANGER_S", 1000.0)
    tls = ssl.create_default_context(cadata=tomllib.loads(layout.client.read_text())["certificate"])
    async with daemon(**{"limits.connections": 3}) as api:
        port = int(api.url.rsplit(":", 1)[1])
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(1), 0.4) == b""  # at once, before any handshake
        writer.close()
        for quiet, _ in silent:
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(quiet.read(1), 10) == b""
        assert await one_byte(port, tls) == b"H"
        for _, other in silent:
            other.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("shaken", [True, False], ids=["after the handshake", "before it"])
async def test_who_shows_no_token_makes_room_and_who_did_stays(daemon, layout, monkeypatch, shaken: bool) -> None:
    monkeypatch.setattr("core.callers.STRANGER_S", 0.0)
    settings = tomllib.loads(layout.client.read_text())
    tls = ssl.create_default_context(cadata=settings["certificate"])
    token = settings["token"]
    asked = f"GET /v1/images HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(asked)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)).startswith(b"HTTP/1.1 200")
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)

    async with daemon(**{"limits.connections": 3}) as api:
        port = int(api.url.rsplit(":", 1)[1])
        client = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        await answered(*client)
        crowd = [await asyncio.open_connection("127.0.0.1", port, ssl=tls if shaken else None) for _ in range(2)]
        for _, writer in crowd:
            writer.write(b"G" if shaken else b"")
        other = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        await answered(*other)
        await answered(*client)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(crowd[0][0].read(1), 10) == b"", "it came first"
        _, text, _ = await api.ask("GET", "/metrics", role=None)
        for _, writer in (client, other, *crowd):
            writer.transport.abort()
        assert re.search(rb'ogcast_limit_reached_total\{limit="strangers"\} [12]\.0', text)


@pytest.mark.asyncio
async def test_what_is_no_http_is_answered_and_not_logged(daemon, layout, caplog) -> None:
    tls = ssl.create_default_context(cadata=tomllib.loads(layout.client.read_text())["certificate"])
    async with daemon() as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rsplit(":", 1)[1]), ssl=tls)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
    assert not [record for record in caplog.records if record.name == "aiohttp.server"]


def listener(server: web.Server, strangers: Callers[object], *, connections: int) -> Listener:
    daemon: Any = SimpleNamespace(
        settings=SimpleNamespace(limits=SimpleNamespace(connections=connections)), strangers_displaced=0
    )
    sock: Any = None
    return Listener(sock, server, None, daemon, strangers)


class Line:
    """What a connection of a stranger is."""

    def __init__(self) -> None:
        self.hung_up = False

    def abort(self) -> None:
        self.hung_up = True


@pytest.mark.asyncio
async def test_the_books_keep_those_that_are_there_and_forget_those_that_went() -> None:
    server, strangers = web.Server(lambda request: None), Callers[object]()  # type: ignore[arg-type]
    one = listener(server, strangers, connections=4)
    handlers = [server() for _ in range(_GONE_KEPT_MAX + 1)]
    lines: list[Any] = [Line(), Line()]
    for handler in handlers:
        strangers.handle_connected(handler, now=0.0)
    for number, line in zip((7, 9), lines, strict=True):
        handlers[number].transport = line
    assert one._has_room(1.0)
    assert len(strangers) == 2, "there were more than are worth keeping"
    assert [line.hung_up for line in lines] == [False, False]


@pytest.mark.asyncio
async def test_at_the_limit_those_that_went_by_themselves_are_not_taken_for_room() -> None:
    server, strangers = web.Server(lambda request: None), Callers[object]()  # type: ignore[arg-type]
    one = listener(server, strangers, connections=0)
    gone, there = server(), server()
    line: Any = Line()
    there.transport = line
    for handler in (gone, there):
        strangers.handle_connected(handler, now=0.0)
    assert one._has_room(5.0)
    assert line.hung_up
    assert one._daemon.strangers_displaced == 1
    assert not one._has_room(5.0)
