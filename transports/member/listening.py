"""Listening for member lanes: one port of repod, which a setting of its transport chooses."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable

from core.connecting import retransmit_soon
from core.errors import LocalError, LockedError

__all__ = ["listen_for_lanes"]

BACKLOG = 512
"""A whole room starts at the same moment."""


async def listen_for_lanes(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    *,
    host: str,
    port: int,
    transport: str,
) -> asyncio.Server:
    """Call `handle` for each connection to `port` of `host` (empty: all addresses); 0 takes any port that is free.

    The caller closes what comes back. LockedError if the port is taken, another LocalError if there is no such address;
    both name `transport`, whose settings choose it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = await asyncio.start_server(handle, host or None, port, backlog=BACKLOG, family=family)
    except OSError as error:
        where = f"{host or 'all addresses'} port {port}"
        if error.errno == errno.EADDRINUSE:
            raise LockedError(
                f"{where} is in use",
                hint=f"another repod may be running; set port in [transports.{transport}] of repod.toml",
            ) from error
        raise LocalError(
            f"cannot listen on {where}: {error.strerror or error}", hint=f"check --host and the port of {transport}"
        ) from error
    for sock in listener.sockets:
        retransmit_soon(sock)
    return listener
