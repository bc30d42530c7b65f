"""Offers are read with care, and nobody answering is a clear error."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from core.errors import ConnectionFailedError, ProtocolError, UsageError
from transports.base import Offer
from transports.unicast.dial import address_of, dial


def test_an_offer_without_a_host_means_the_repository_s() -> None:
    assert address_of(Offer(transport="unicast", parameters={"port": 5}), "repo") == ("repo", 5)
    assert address_of(Offer(transport="unicast", parameters={"port": 5, "host": "h"}), "repo") == ("h", 5)


@pytest.mark.parametrize("parameters", [{}, {"port": "5"}, {"port": 0}, {"port": 70000}, {"port": 5, "host": 7}])
def test_an_offer_that_names_no_address_is_a_protocol_error(parameters: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        address_of(Offer(transport="unicast", parameters=parameters), "repo")


@pytest.mark.asyncio
async def test_a_closed_port_is_a_connection_that_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionFailedError):
        await dial("127.0.0.1", port, asyncio.Protocol)
    with pytest.raises(ConnectionFailedError, match="through lo"):
        await dial("127.0.0.1", port, asyncio.Protocol, interface="lo")


@pytest.mark.asyncio
async def test_an_interface_is_bound_and_an_unknown_one_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        connected: list[asyncio.BaseTransport] = []

        class Kept(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                connected.append(transport)

        await dial("127.0.0.1", port, Kept, interface="lo")
        bound = connected[0].get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
        connected[0].close()
        assert bound.rstrip(b"\0") == b"lo"
        with pytest.raises(UsageError, match="nosuch0"):
            await dial("127.0.0.1", port, Kept, interface="nosuch0")
