"""Connecting to the address an offer names."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TypeVar

from core.connecting import connect, retransmit_soon
from core.errors import ConnectionFailedError, ProtocolError
from core.netif import bind_to_interface
from transports.base import Offer

__all__ = ["CONNECT_TIMEOUT_S", "address_of", "dial"]

CONNECT_TIMEOUT_S = 10.0

P = TypeVar("P", bound=asyncio.BaseProtocol)


def address_of(offer: Offer, repository_host: str) -> tuple[str, int]:
    """Host and port of an offer; the repository's own host when it names none. ProtocolError if it is none of ours."""
    host = offer.parameters.get("host") or repository_host
    port = offer.parameters.get("port")
    if not isinstance(host, str) or not isinstance(port, int) or not 0 < port < 65536:
        raise ProtocolError("the repository's unicast offer names no address")
    return host, port


async def dial(host: str, port: int, make: Callable[[], P], *, interface: str | None = None) -> P:
    """Connect, through `interface` if one is given.

    ConnectionFailedError when nobody answers within CONNECT_TIMEOUT_S, UsageError if there is no such interface.
    """
    loop = asyncio.get_running_loop()
    through = f" through {interface}" if interface else ""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if not interface:
                _, protocol = await loop.create_connection(make, sock=await connect(host, port))
            else:
                connected = await _connect_through(interface, host, port)
                _, protocol = await loop.create_connection(make, sock=connected)
    except TimeoutError as error:
        raise ConnectionFailedError(
            f"no answer from {host} port {port}{through} within {CONNECT_TIMEOUT_S:g} s",
            hint="is a firewall in between?",
        ) from error
    except OSError as error:
        raise ConnectionFailedError(
            f"cannot connect to {host} port {port}{through}: {error.strerror or error}", hint="is repod running there?"
        ) from error
    return protocol


async def _connect_through(interface: str, host: str, port: int) -> socket.socket:
    """The first address of `host` that answers through `interface`; OSError if none does."""
    loop = asyncio.get_running_loop()
    failed: OSError = OSError("no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        try:
            bind_to_interface(sock, interface)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failed = error
        except BaseException:
            sock.close()
            raise
        else:
            retransmit_soon(sock)
            return sock
    raise failed
