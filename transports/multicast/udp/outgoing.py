"""The sender's socket: trains of equal packets to the group, reports of members back."""

from __future__ import annotations

import errno
import select
import socket
import struct
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType

from core.errors import UsageError
from transports.multicast.udp.group import Group, explain
from transports.multicast.udp.interface import Interface
from transports.multicast.udp.options import SOL_UDP, UDP_SEGMENT, enlarge_send_buffer, try_option

__all__ = ["GroupSender", "SendCounters"]

SEND_BUFFER_BYTES = 4 * 1024 * 1024
"""Some 30 ms at 1 Gbit/s: enough for the kernel never to run dry, little enough for the pace to mean something."""
WRITABLE_WAIT_S = 0.2
"""Longest wait for room in the send buffer; a train that finds none is lost, and mended as any loss."""
SEGMENTS_MAX = 64
TRAIN_MAX_BYTES = 65_000
"""Bounds of one segmented send: UDP_MAX_SEGMENTS, and one datagram of IP."""
REPORT_MAX_BYTES = 2048

_NO_SEGMENTATION = frozenset({errno.EIO, errno.EINVAL, errno.EOPNOTSUPP})
"""Answers of drivers and tunnels that cannot segment."""


@dataclass(slots=True)
class SendCounters:
    """Running totals of one socket."""

    packets: int = 0
    bytes: int = 0
    """UDP payload handed to the kernel."""
    calls: int = 0
    packets_lost: int = 0
    """Packets the kernel had no room for within WRITABLE_WAIT_S."""
    fallbacks: int = 0
    """Times that segmentation turned out not to work."""


class GroupSender:
    """One UDP socket bound to an address of `interface` and a port of its own. Use from one thread.

    Raises LocalError: interface down or without address, port taken. `ttl` 1 stays in the subnet. With `segment` the
    kernel cuts trains (UDP_SEGMENT) where it can; where it cannot, packets go one by one.
    """

    def __init__(
        self,
        group: Group,
        interface: Interface,
        *,
        ttl: int = 1,
        port: int = 0,
        segment: bool = True,
        loop: bool = True,
    ) -> None:
        if not 0 <= ttl <= 255:
            raise UsageError(f"TTL of {ttl}", hint="a number from 0 to 255; 1 stays in the subnet")
        interface.check_up()
        source = interface.source(group.family)
        self.group = group
        self.interface = interface
        self.counters = SendCounters()
        self._target = group.sockaddr(interface)
        self._socket = sock = socket.socket(group.family, socket.SOCK_DGRAM)
        try:
            _choose_route(sock, group, interface, source, ttl=ttl, loop=loop)
            enlarge_send_buffer(sock, SEND_BUFFER_BYTES)
            sock.bind((source, port) if group.family == socket.AF_INET else (source, port, 0, interface.index))
        except OSError as error:
            sock.close()
            raise explain(f"cannot send to {group.address} through {interface.name}", error) from None
        sock.setblocking(False)
        self._writable = select.poll()
        self._writable.register(sock, select.POLLOUT)
        self.segmenting = segment and try_option(sock, SOL_UDP, UDP_SEGMENT, 0)

    @property
    def address(self) -> tuple[str, int]:
        """Where members send their reports: the source of the packets."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    def fileno(self) -> int:
        """To wait for reports; -1 once closed."""
        return self._socket.fileno()

    def send(self, packets: memoryview, packet_bytes: int) -> int:
        """Send packets of `packet_bytes` each (the last may be shorter), in trains as long as the kernel bears.

        Returns how many it took. Waits WRITABLE_WAIT_S for room at most, for each train. Raises OSError when
        the interface or the route is gone; the next call may succeed again.
        """
        step = packet_bytes * max(1, min(SEGMENTS_MAX, TRAIN_MAX_BYTES // packet_bytes))
        counters, cut, sent = self.counters, _cut_at(packet_bytes), 0
        for at in range(0, len(packets), step):
            train = packets[at : at + step]
            length = len(train)
            count = -(-length // packet_bytes)
            if self.segmenting and count > 1:
                try:
                    took = count * self._send_one(train, cut)
                except OSError as error:
                    took = self._send_unsegmented(train, packet_bytes, error)
            else:
                took = self._send_singly(train, packet_bytes)
            counters.packets += took
            if took == count:
                counters.bytes += length
            else:
                counters.packets_lost += count - took
                counters.bytes += took * packet_bytes
            sent += took
        return sent

    def receive(self, buffer: memoryview) -> tuple[int, tuple[str, int]] | None:
        """One report into `buffer`: its length and sender; None if there is none. Never waits.

        Longer than REPORT_MAX_BYTES is cut; a cut report fails its authenticator.
        """
        try:
            length, address = self._socket.recvfrom_into(buffer)
        except OSError:  # nothing there, or an ICMP error of an earlier packet
            return None
        return length, (str(address[0]), int(address[1]))

    def close(self) -> None:
        """Close the socket; harmless when repeated."""
        self._socket.close()

    def __enter__(self) -> GroupSender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send_unsegmented(self, train: memoryview, packet_bytes: int, error: OSError) -> int:
        """As `send`, of a train that was refused with `error` as a whole."""
        if error.errno not in _NO_SEGMENTATION:
            raise error
        # the same answers may mean that the interface is gone: then one packet alone fails too, and that is raised
        first = self._send_one(train[:packet_bytes], ())
        self.segmenting = False
        self.counters.fallbacks += 1
        return first + self._send_singly(train[packet_bytes:], packet_bytes)

    def _send_singly(self, train: memoryview, packet_bytes: int) -> int:
        """As many system calls as there are packets."""
        return sum(self._send_one(train[at : at + packet_bytes], ()) for at in range(0, len(train), packet_bytes))

    def _send_one(self, data: memoryview, ancillary: tuple[tuple[int, int, bytes], ...]) -> int:
        """One system call: 1, or 0 if there was no room."""
        for again in (True, False):
            try:
                self._socket.sendmsg((data,), ancillary, 0, self._target)
            except BlockingIOError:
                if again:
                    self._writable.poll(WRITABLE_WAIT_S * 1000)
            else:
                self.counters.calls += 1
                return 1
        return 0


@lru_cache(maxsize=4)
def _cut_at(packet_bytes: int) -> tuple[tuple[int, int, bytes], ...]:
    """What tells the kernel to segment; nearly all packets of a cast have one length."""
    return ((SOL_UDP, UDP_SEGMENT, struct.pack("=H", packet_bytes)),)


def _choose_route(
    sock: socket.socket, group: Group, interface: Interface, source: str, *, ttl: int, loop: bool
) -> None:
    if group.family == socket.AF_INET:
        # struct ip_mreqn: group, local address, interface index
        request = socket.inet_aton("0.0.0.0") + socket.inet_aton(source) + struct.pack("=i", interface.index)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, loop)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, loop)
