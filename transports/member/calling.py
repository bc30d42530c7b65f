"""How a client comes to its member lane: connect, and prove the session (transports/member/handshake.py)."""

from __future__ import annotations

import asyncio

from core.connecting import connect, give_up_unheard
from core.errors import ConnectionFailedError
from transports.member.handshake import enter

__all__ = ["UNHEARD_S", "call"]

UNHEARD_S = 10.0
"""What a client says on its lane, and that is often, is acknowledged within this time, or repod is taken for dead."""


async def call(
    host: str, port: int, *, session_id: str, key: bytes, within_s: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Both ends of a connection that messages of the transport may follow on; the caller closes it.

    Raises ConnectionFailedError where nobody answers `within_s`, AuthenticationError, ProtocolError, TransferError.
    """
    try:
        async with asyncio.timeout(within_s):
            sock = await connect(host, port)
            try:
                give_up_unheard(sock, UNHEARD_S)
                reader, writer = await asyncio.open_connection(sock=sock)
            except BaseException:
                sock.close()
                raise
    except TimeoutError as error:
        raise ConnectionFailedError(
            f"no answer from {host} port {port} within {within_s:g} s", hint="is a firewall in between?"
        ) from error
    except OSError as error:
        raise ConnectionFailedError(
            f"cannot connect to {host} port {port}: {error.strerror or error}", hint="is repod running there?"
        ) from error
    try:
        await enter(reader, writer, session_id=session_id, key=key)
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer
