"""A socket that belongs to a group says what it holds and how it receives."""

from __future__ import annotations

import socket

import pytest

from transports.multicast.udp.membership import buffer_of, dropped, is_merging, member_socket, queued_bytes

LOOPBACK = socket.if_nametoindex("lo")
GROUP = "232.77.9.1"


@pytest.mark.parametrize("merge", [True, False])
def test_it_belongs_to_the_group_and_says_how_it_receives(merge: bool) -> None:
    with member_socket(GROUP, 47091, source="127.0.0.1", index=LOOPBACK, buffer_bytes=1 << 16, merge=merge) as sock:
        assert is_merging(sock) is merge
        assert buffer_of(sock) >= 1 << 16
        assert queued_bytes(sock) == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            sender.sendto(b"x" * 100, (GROUP, 47091))
        assert queued_bytes(sock) > 0  # loopback delivers before it returns
        assert sock.recv(200) == b"x" * 100
        with pytest.raises(BlockingIOError):
            sock.recv(200)


def test_what_is_no_group_and_an_interface_that_is_not_there_are_errors() -> None:
    with pytest.raises(OSError, match="assign"):
        member_socket("10.99.99.1", 47091, source=None, index=LOOPBACK, buffer_bytes=1 << 16, merge=True)
    with pytest.raises(OSError, match="device"):
        member_socket("239.1.1.1", 47091, source=None, index=1 << 20, buffer_bytes=1 << 16, merge=True)
    with socket.socket() as other:
        assert not is_merging(other)
        other.close()
        assert queued_bytes(other) == dropped(other) == 0
