"""aiohttp comes without the system's authorities, and the environment stays as it was."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys

import pytest

from client.http import Connector, aiohttp, hint_of, reason_of
from core.connecting import retransmit_soon
from tests.client.conftest import free_port
from tests.support.tcp import floor_us

SCRIPT = """
import os
from client.http import aiohttp
from tests.support.tcp import floor_us
import aiohttp.connector
print(aiohttp.connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509"])
print(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
"""


@pytest.mark.parametrize(
    ("environment", "after"),
    [({}, ["None", "None"]), ({"SSL_CERT_FILE": "/etc/some.pem"}, ["/etc/some.pem", "None"])],
)
def test_no_authority_is_read(environment: dict[str, str], after: list[str]) -> None:
    command = [sys.executable, "-c", SCRIPT]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert said == ["0", *after]


@pytest.mark.asyncio
async def test_what_a_request_loses_is_repeated_soon() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
            await reader.read()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with (
            aiohttp.ClientSession(connector=Connector()) as session,
            session.get(f"http://127.0.0.1:{port}/") as got,
        ):
            assert got.connection is not None
            assert got.connection.transport is not None
            floor = floor_us(got.connection.transport.get_extra_info("socket"))
    with socket.socket() as other:
        assert floor == (floor_us(other) if retransmit_soon(other) else floor)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("address", "reason", "hint"),
    [
        ("255.255.255.255", "Network is unreachable", "interface"),  # TCP has no way to everybody
        ("[fe80::1]", "Invalid argument", "%eth0"),
        ("127.0.0.1", "Connection refused", "repod serve"),
    ],
)
async def test_who_has_no_way_to_the_repository_is_told_what_to_look_at(address: str, reason: str, hint: str) -> None:
    async with aiohttp.ClientSession(connector=Connector()) as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get(f"http://{address}:{free_port()}/")
    assert reason_of(caught.value) == reason
    assert hint in hint_of(caught.value)
