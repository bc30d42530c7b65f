"""A socket that belongs to a group. Light to import: a client makes it before anything else is there."""

from __future__ import annotations

import socket
import struct

from transports.multicast.udp.options import (
    IP_MULTICAST_ALL,
    IPV6_MULTICAST_ALL,
    MCAST_JOIN_GROUP,
    MCAST_JOIN_SOURCE_GROUP,
    MCAST_LEAVE_GROUP,
    MCAST_LEAVE_SOURCE_GROUP,
    SO_MEMINFO,
    SOL_UDP,
    UDP_GRO,
    enlarge_receive_buffer,
    group_request,
    try_option,
)

__all__ = ["buffer_of", "dropped", "is_merging", "join_group", "leave_group", "member_socket", "queued_bytes"]

_MEMINFO = struct.Struct("=9I")
_RMEM_ALLOC, _DROPS = 0, 8
"""Of what SO_MEMINFO tells (linux/sock_diag.h)."""


def member_socket(
    address: str, port: int, *, source: str | None, index: int, buffer_bytes: int, merge: bool
) -> socket.socket:
    """Bound to the group, so that nothing else sent to the port reaches it, and a member on interface `index`.

    `source` is the only sender wanted. With `merge` the kernel hands over trains (UDP_GRO) where it can. It does not
    block; the caller owns it. Raises OSError.
    """
    ipv6 = ":" in address
    sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try_option(sock, socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
        else:
            try_option(sock, socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        enlarge_receive_buffer(sock, buffer_bytes)
        if merge:
            try_option(sock, SOL_UDP, UDP_GRO, 1)
        sock.bind((address, port, 0, index) if ipv6 else (address, port))
        join_group(sock, address, source=source, index=index)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def join_group(sock: socket.socket, address: str, *, source: str | None, index: int) -> None:
    """Belong to the group on interface `index`, for what `source` sends, or anybody. Raises OSError."""
    if source is None:
        sock.setsockopt(_level(address), MCAST_JOIN_GROUP, group_request(index, address))
    else:
        sock.setsockopt(_level(address), MCAST_JOIN_SOURCE_GROUP, group_request(index, address, source))


def leave_group(sock: socket.socket, address: str, *, source: str | None, index: int) -> None:
    """Undo `join_group`. Raises OSError."""
    if source is None:
        sock.setsockopt(_level(address), MCAST_LEAVE_GROUP, group_request(index, address))
    else:
        sock.setsockopt(_level(address), MCAST_LEAVE_SOURCE_GROUP, group_request(index, address, source))


def _level(address: str) -> int:
    return socket.IPPROTO_IPV6 if ":" in address else socket.IPPROTO_IP


def is_merging(sock: socket.socket) -> bool:
    """Whether receives bring trains."""
    try:
        return sock.getsockopt(SOL_UDP, UDP_GRO) != 0
    except OSError:
        return False


def buffer_of(sock: socket.socket) -> int:
    """Bytes the socket may hold."""
    # the kernel doubles what it is told, for its own overhead, and answers with the double
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def queued_bytes(sock: socket.socket) -> int:
    """What waits in the socket's buffer, in the memory it takes there; 0 before Linux 4.12."""
    return _memory_of(sock)[_RMEM_ALLOC]


def dropped(sock: socket.socket) -> int:
    """Packets, or trains, that the socket had no room for so far, modulo 2^32; 0 before Linux 4.12."""
    return _memory_of(sock)[_DROPS]


def _memory_of(sock: socket.socket) -> tuple[int, ...]:
    try:
        return _MEMINFO.unpack_from(sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 64))
    except (OSError, struct.error):
        return (0,) * 9
