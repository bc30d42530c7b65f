"""What a socket says of TCP that Python has no name for."""

from __future__ import annotations

import socket

__all__ = ["floor_us"]

_TCP_RTO_MIN_US = 45
"""linux/tcp.h, since Linux 6.15."""


def floor_us(sock: socket.socket) -> int:
    """What is not acknowledged is sent again after so many microseconds at least; 0 where the kernel does not say."""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, _TCP_RTO_MIN_US)
    except OSError:
        return 0
