"""The way into a member lane: the handshake of a unicast lane, byte for byte (docs/wire-unicast.md, "Handshake").

Both sides prove the session key to each other; what follows are lane messages (transports/member/lane.py).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TypeVar

from core.errors import AuthenticationError, ConnectionFailedError, ProtocolError
from transports.unicast.proto.frames import HEADER_BYTES, Frame, Header, Op, Status, error_reply
from transports.unicast.proto.handshake import Handshake
from transports.unicast.proto.limits import MAX_HANDSHAKE_BYTES, VERSION
from transports.unicast.proto.messages import Join, Negotiate, Negotiated, reply_to
from transports.unicast.proto.proof import CLIENT, SERVER, proof_matches, prove

__all__ = ["HANDSHAKE_S", "admit", "enter"]

HANDSHAKE_S = 10.0
"""A connection that has not proved a session by then is closed."""

Seat = TypeVar("Seat")

_LANE_IDLE_MS = 60_000


async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, session_id: str, key: bytes) -> None:
    """The client's side. Raises AuthenticationError, ConnectionFailedError, ProtocolError, TransferError."""
    handshake = Handshake(session_id=session_id, key=key, nonce=os.urandom(32))
    try:
        _say(writer, handshake.begin())
        async with asyncio.timeout(HANDSHAKE_S):
            while not handshake.done:
                _say(writer, handshake.handle_frame(await _read_frame(reader)))
    except (asyncio.IncompleteReadError, OSError, TimeoutError) as error:
        raise ConnectionFailedError(f"the member lane broke in its handshake: {str(error) or 'no answer'}") from error


async def admit(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    find: Callable[[str], tuple[bytes, Seat] | None],
) -> Seat:
    """The server's side: `find` gives key and seat of a session. Raises what ends the connection."""
    async with asyncio.timeout(HANDSHAKE_S):
        first = await _read_frame(reader)
        if first.header.op is not Op.NEGOTIATE or first.header.reply:
            raise ProtocolError(f"{first.header.op.name} where NEGOTIATE was expected")
        offered = Negotiate.parse(first.payload)
        if not offered.lowest <= VERSION <= offered.highest:
            _say(writer, error_reply(first.header, Status.VIOLATION, f"this repository speaks version {VERSION}"))
            raise ProtocolError(f"versions {offered.lowest} to {offered.highest}")
        nonce = os.urandom(32)
        agreed = Negotiated(nonce=nonce, read_chunks=1, queued_chunks=1, idle_timeout_ms=_LANE_IDLE_MS)
        _say(writer, reply_to(first.header, agreed.encode()))
        second = await _read_frame(reader)
        if second.header.op is not Op.SESSION or second.header.reply:
            raise ProtocolError(f"{second.header.op.name} where SESSION was expected")
        join = Join.parse(second.payload)
    found = find(join.session_id)
    # An unknown session costs as much time as a wrong proof.
    key, seat = found if found is not None else (bytes(32), None)

    def expected(role: bytes) -> bytes:
        return prove(key, role, client_nonce=offered.nonce, server_nonce=nonce, session_id=join.session_id)

    good = proof_matches(expected(CLIENT), join.proof)
    if seat is None or not good:
        _say(writer, error_reply(second.header, Status.DENIED, "unknown session or wrong proof"))
        raise AuthenticationError("unknown session or wrong proof")
    _say(writer, reply_to(second.header, expected(SERVER)))
    return seat


async def _read_frame(reader: asyncio.StreamReader) -> Frame:
    header = Header.parse(await reader.readexactly(HEADER_BYTES))
    if header.length > MAX_HANDSHAKE_BYTES:
        raise ProtocolError(f"{header.op.name} of {header.length} bytes in a handshake")
    return Frame(header=header, payload=await reader.readexactly(header.length))


def _say(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write, unless the connection has broken since something was read: ConnectionResetError then, on every loop."""
    if writer.transport.is_closing():
        raise ConnectionResetError("the connection broke")
    writer.write(data)
