"""Bounds of the handshake; tests/transports/member/test_lane.py runs both sides over a connection."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import AuthenticationError, ConnectionFailedError, OgcastError, ProtocolError
from images.stores import Encoding
from transports.member import handshake
from transports.member.handshake import HANDSHAKE_S, admit, enter
from transports.unicast.proto.frames import Header, Op, Status
from transports.unicast.proto.limits import MAX_STORED_BYTES
from transports.unicast.settings import UnicastSettings

KEY = bytes(32)


def test_it_is_as_patient_as_that_of_a_unicast_lane() -> None:
    assert UnicastSettings().handshake_timeout_s == HANDSHAKE_S


class Wire:
    """Takes what is said; nobody hears it. Stands for a StreamWriter and its transport."""

    @property
    def transport(self) -> Wire:
        return self

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        pass


LARGE = (
    Header(op=Op.WRITE, length=MAX_STORED_BYTES),
    Header(op=Op.READ, reply=True, encoding=Encoding.RAW, length=MAX_STORED_BYTES),
    Header(op=Op.CANCEL, length=1024 + 4),
)


@pytest.mark.parametrize("header", LARGE, ids=lambda header: header.op.name)
@pytest.mark.asyncio
async def test_nobody_is_waited_for_with_more_than_a_handshake_takes(header: Header) -> None:
    for way in (admit, enter):
        reader = asyncio.StreamReader()
        reader.feed_data(header.encode())  # and not a byte of what it announces
        more = {"find": lambda name: None} if way is admit else {"session_id": "s", "key": KEY}
        with pytest.raises(ProtocolError, match="in a handshake"):
            await way(reader, Wire(), **more)  # type: ignore[operator]


@pytest.mark.asyncio
async def test_a_refusal_with_its_longest_text_is_heard() -> None:
    text = b"x" * 512
    reader = asyncio.StreamReader()
    reader.feed_data(Header(op=Op.LEASE_BREAK, status=Status.BUSY, length=len(text)).encode() + text)
    with pytest.raises(OgcastError, match="xxx"):
        await enter(reader, Wire(), session_id="s", key=KEY)  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_who_does_not_answer_is_said_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_S", 0.01)
    with pytest.raises(ConnectionFailedError, match="handshake: no answer"):
        await enter(asyncio.StreamReader(), Wire(), session_id="s", key=KEY)  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_who_does_not_prove_the_key_of_a_session_is_not_let_in() -> None:
    refused: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            refused.set_result(AssertionError(await admit(reader, writer, find=lambda name: (KEY, name))))
        except OgcastError as error:
            refused.set_result(error)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        with pytest.raises(AuthenticationError):
            await enter(reader, writer, session_id="s", key=b"k" * 32)
        assert isinstance(await refused, AuthenticationError)
        writer.close()
