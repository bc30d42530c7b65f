"""A group is checked before any socket sees it."""

from __future__ import annotations

import errno
import socket

import pytest

from core.errors import LocalError, UsageError
from transports.multicast.udp.group import Group, explain
from transports.multicast.udp.interface import Interface

NEAR = Interface(name="x0", index=9, up=True, mtu_bytes=1500, ipv4="192.0.2.1", ipv6=())


@pytest.mark.parametrize("address", ["223.255.255.255", "240.0.0.0", "10.0.0.1", "fe80::1", "::1"])
def test_an_address_outside_the_multicast_ranges_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="no multicast group"):
        Group(address=address, port=9000)


@pytest.mark.parametrize("address", ["", "239.1.1", "group", "239.1.1.1/8", "ff02::1%lo"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="address"):
        Group(address=address, port=9000)


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_impossible_ports_are_refused(port: int) -> None:
    with pytest.raises(UsageError, match="no UDP port"):
        Group(address="239.1.1.1", port=port)


@pytest.mark.parametrize(
    ("address", "source"), [("232.1.1.1", "2001:db8::1"), ("ff3e::1", "192.0.2.1"), ("232.1.1.1", "232.1.1.2")]
)
def test_a_source_has_to_be_a_host_of_the_same_family(address: str, source: str) -> None:
    with pytest.raises(UsageError, match="cannot be the source"):
        Group(address=address, port=9000, source=source)


def test_family_and_socket_address_follow_the_group() -> None:
    assert Group(address="224.0.0.0", port=1).family == socket.AF_INET
    assert Group(address="239.255.255.255", port=1).sockaddr(NEAR) == ("239.255.255.255", 1)
    assert Group(address="ff02::1", port=1).family == socket.AF_INET6
    assert Group(address="ff02::1", port=1).sockaddr(NEAR) == ("ff02::1", 1, 0, 9)


@pytest.mark.parametrize("number", [errno.ENODEV, errno.ENETDOWN, errno.EADDRINUSE, errno.EPERM, errno.EIO])
def test_socket_errors_come_with_what_to_do(number: int) -> None:
    error = explain("cannot join", OSError(number, "text"))
    assert isinstance(error, LocalError)
    assert error.message == "cannot join: text"
    assert error.hint
