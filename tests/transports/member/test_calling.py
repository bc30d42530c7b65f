"""A client comes to its lane, or is told why not; nothing stays open then."""

from __future__ import annotations

import asyncio
import socket

import pytest

from core.errors import AuthenticationError, ConnectionFailedError
from transports.member.calling import UNHEARD_S, call
from transports.member.handshake import admit

pytestmark = pytest.mark.asyncio

KEY = bytes(range(32))


class House:
    """Admits session "s" with KEY; `gone` is set once a connection has ended here."""

    def __init__(self) -> None:
        self.seats: list[str] = []
        self.gone = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.seats.append(await admit(reader, writer, find=lambda name: (KEY, name) if name == "s" else None))
            writer.write(b"hello")
        except AuthenticationError:
            pass
        try:
            while await reader.read(100):
                pass
        except OSError:
            pass
        writer.close()
        self.gone.set()


async def test_who_has_proved_the_session_is_inside_and_is_noticed_when_the_wire_is_cut() -> None:
    house = House()
    async with asyncio.timeout(20), await asyncio.start_server(house.handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await call("127.0.0.1", port, session_id="s", key=KEY, within_s=10)
        assert await reader.readexactly(5) == b"hello"
        wire = writer.get_extra_info("socket")
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNHEARD_S * 1000
        writer.close()
        await house.gone.wait()
    assert house.seats == ["s"]


async def test_who_is_refused_hangs_up() -> None:
    house = House()
    async with asyncio.timeout(20), await asyncio.start_server(house.handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(AuthenticationError):
            await call("127.0.0.1", port, session_id="another", key=KEY, within_s=10)
        await house.gone.wait()


async def test_who_finds_nobody_is_told_where_to_look() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ConnectionFailedError, match=f"cannot connect to 127.0.0.1 port {port}") as refused:
        await call("127.0.0.1", port, session_id="s", key=KEY, within_s=10)
    assert refused.value.hint == "is repod running there?"


async def test_who_gets_no_answer_waits_no_longer_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(host: str, port: int) -> socket.socket:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    monkeypatch.setattr("transports.member.calling.connect", nobody)
    with pytest.raises(ConnectionFailedError, match=r"no answer from repo port 7 within 0\.01 s") as silent:
        await call("repo", 7, session_id="s", key=KEY, within_s=0.01)
    assert silent.value.hint == "is a firewall in between?"
