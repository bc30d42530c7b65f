"""Socket options Python has no names for (linux/in.h, linux/in6.h, linux/udp.h, asm-generic/socket.h), and buffers."""

from __future__ import annotations

import contextlib
import socket
import struct

__all__ = [
    "IPV6_MULTICAST_ALL",
    "IP_MULTICAST_ALL",
    "MCAST_JOIN_GROUP",
    "MCAST_JOIN_SOURCE_GROUP",
    "MCAST_LEAVE_GROUP",
    "MCAST_LEAVE_SOURCE_GROUP",
    "SOL_UDP",
    "SO_MEMINFO",
    "SO_PEEK_OFF",
    "UDP_GRO",
    "UDP_SEGMENT",
    "enlarge_receive_buffer",
    "enlarge_send_buffer",
    "group_request",
    "try_option",
]

SOL_UDP = 17
UDP_SEGMENT = 103
UDP_GRO = 104
SO_MEMINFO = 55
SO_PEEK_OFF = 42
IP_MULTICAST_ALL = 49
IPV6_MULTICAST_ALL = 29
MCAST_JOIN_GROUP = 42
MCAST_LEAVE_GROUP = 45
MCAST_JOIN_SOURCE_GROUP = 46
MCAST_LEAVE_SOURCE_GROUP = 47

_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_STORAGE_BYTES = 128  # struct sockaddr_storage


def enlarge_send_buffer(sock: socket.socket, size: int) -> int:
    """Ask for a send buffer of `size` bytes, beyond the system's limit where that is allowed; returns what it got."""
    return _enlarge(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF, size)


def enlarge_receive_buffer(sock: socket.socket, size: int) -> int:
    """As enlarge_send_buffer, for what arrives."""
    return _enlarge(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF, size)


def _enlarge(sock: socket.socket, forced: int, polite: int, size: int) -> int:
    if not try_option(sock, socket.SOL_SOCKET, forced, size):
        try_option(sock, socket.SOL_SOCKET, polite, size)
    # the kernel doubles what it is told, for its own overhead, and answers with the double
    return sock.getsockopt(socket.SOL_SOCKET, polite) // 2


def try_option(sock: socket.socket, level: int, name: int, value: int) -> bool:
    """Set an option that not every kernel, or not everybody, may set; True if it took effect."""
    with contextlib.suppress(OSError):
        sock.setsockopt(level, name, value)
        return True
    return False


def group_request(index: int, *addresses: str) -> bytes:
    """struct group_req (one address: the group) or group_source_req (group, source) for interface `index`.

    These serve IPv4 and IPv6 alike and name the interface by its index (RFC 3678, 5.1).
    """
    return struct.pack("=I4x", index) + b"".join(_storage(address) for address in addresses)


def _storage(address: str) -> bytes:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    # sockaddr_in: family, port, address; sockaddr_in6: family, port, flow information, address, scope
    body = struct.pack("=HH", family, 0) + (packed if family == socket.AF_INET else bytes(4) + packed + bytes(4))
    return body.ljust(_STORAGE_BYTES, b"\0")
