"""A member's socket: trains of packets from the group, and a count of what this host had no room for."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from dataclasses import dataclass
from types import TracebackType

from core.errors import LocalError
from transports.multicast.udp.group import Group, explain
from transports.multicast.udp.interface import Interface
from transports.multicast.udp.options import (
    IP_MULTICAST_ALL,
    IPV6_MULTICAST_ALL,
    SO_MEMINFO,
    SO_RXQ_OVFL,
    SOL_UDP,
    UDP_GRO,
    enlarge_receive_buffer,
    try_option,
)

__all__ = ["TRAIN_MAX_BYTES", "GroupReceiver", "Train"]

RECEIVE_BUFFER_BYTES = 32 * 1024 * 1024
"""Above 200 ms at 1 Gbit/s: covers a thread that is not scheduled for a while."""
TRAIN_MAX_BYTES = 65536
"""Least room for one receive: what the kernel joins is one datagram at most."""

_ANCILLARY_BYTES = socket.CMSG_SPACE(4) * 2
_INT = struct.Struct("=i")
_MEMINFO = struct.Struct("=I")
"""SK_MEMINFO_RMEM_ALLOC, the first of what SO_MEMINFO tells."""
_COUNT = struct.Struct("=I")
_COUNT_WRAP = 1 << 32


@dataclass(frozen=True, slots=True)
class Train:
    """What one receive brought."""

    length: int
    """Bytes written to the buffer."""
    packet_bytes: int
    """Length of each packet; the last one may be shorter."""


class GroupReceiver:
    """One UDP socket bound to the group, so that nothing else sent to the port reaches it. Use from one thread.

    Raises LocalError: interface down or without address, port held by a program that does not share it. With `merge`
    the kernel hands over trains (UDP_GRO) where it can; otherwise each receive brings one packet.
    """

    def __init__(
        self, group: Group, interface: Interface, *, merge: bool = True, buffer_bytes: int = RECEIVE_BUFFER_BYTES
    ) -> None:
        interface.check_up()
        interface.source(group.family)
        self.group = group
        self.interface = interface
        self.overflows = 0
        """Packets (or trains) this host dropped because the socket's buffer was full."""
        self._overflow_mark = 0
        self._socket = sock = socket.socket(group.family, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if group.family == socket.AF_INET:
                try_option(sock, socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                try_option(sock, socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
            self.buffer_bytes = enlarge_receive_buffer(sock, buffer_bytes)
            try_option(sock, socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
            self.merging = merge and try_option(sock, SOL_UDP, UDP_GRO, 1)
            sock.bind(group.sockaddr(interface))
            group.join(sock, interface)
        except OSError as error:
            sock.close()
            raise explain(f"cannot join {group.address} on {interface.name}", error) from None
        sock.setblocking(False)
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    def fileno(self) -> int:
        """To wait on; -1 once closed."""
        return self._socket.fileno()

    def receive(self, buffer: memoryview) -> Train | None:
        """One train into `buffer`, of TRAIN_MAX_BYTES at least; None if there is none. Never waits.

        An empty or cut datagram comes back as a train that no authenticator accepts. Raises OSError when the
        interface is gone.
        """
        try:
            length, ancillary, _, _ = self._socket.recvmsg_into((buffer,), _ANCILLARY_BYTES)
        except BlockingIOError:
            return None
        packet_bytes = length
        for level, kind, data in ancillary:
            if level == SOL_UDP and kind == UDP_GRO:
                packet_bytes = _INT.unpack_from(data)[0]
            elif level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
                mark = _COUNT.unpack_from(data)[0]
                self.overflows += (mark - self._overflow_mark) % _COUNT_WRAP
                self._overflow_mark = mark
        return Train(length, packet_bytes)

    def queued_bytes(self) -> int:
        """What waits in the socket's buffer, in the memory it takes there; 0 before Linux 4.12."""
        try:
            queued: int = _MEMINFO.unpack_from(self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 64))[0]
        except (OSError, struct.error):
            return 0
        return queued

    def wait(self, timeout_s: float) -> bool:
        """Wait until something can be received, `timeout_s` seconds at most."""
        return bool(self._readable.poll(max(0.0, timeout_s) * 1000))

    def rejoin(self) -> LocalError | None:
        """Leave the group and join it again, so that switches hear of it; what went wrong, if it did.

        For a stream that fell silent: a switch that forgot the membership, an interface that was down.
        """
        with contextlib.suppress(OSError):  # the kernel may have dropped it together with the interface's address
            self.group.leave(self._socket, self.interface)
        try:
            self.group.join(self._socket, self.interface)
        except OSError as error:
            return explain(f"cannot join {self.group.address} on {self.interface.name} again", error)
        return None

    def close(self) -> None:
        """Leave the group and close; harmless when repeated."""
        self._socket.close()

    def __enter__(self) -> GroupReceiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
