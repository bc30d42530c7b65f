"""A member's socket: trains of packets from the group, and a count of what this host had no room for."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Iterator
from types import TracebackType

import msgspec

from core.errors import LocalError
from transports.multicast.udp.group import Group, explain
from transports.multicast.udp.interface import Interface
from transports.multicast.udp.membership import buffer_of, dropped, is_merging, member_socket, queued_bytes
from transports.multicast.udp.options import SO_PEEK_OFF, SOL_UDP, UDP_GRO, try_option

__all__ = ["TRAIN_MAX_BYTES", "GroupReceiver", "Train", "look_at_trains", "receive_train"]

RECEIVE_BUFFER_BYTES = 32 * 1024 * 1024
"""Above 200 ms at 1 Gbit/s: covers a thread that is not scheduled for a while."""
TRAIN_MAX_BYTES = 65536
"""Least room for one receive: what the kernel joins is one datagram at most."""

_ANCILLARY_BYTES = socket.CMSG_SPACE(4)
_INT = struct.Struct("=i")
_COUNT_WRAP = 1 << 32


class Train(msgspec.Struct, frozen=True):
    """What one receive brought."""

    length: int
    """Bytes written to the buffer."""
    packet_bytes: int
    """Length of each packet; the last one may be shorter."""


def receive_train(sock: socket.socket, buffer: memoryview, flags: int = 0) -> Train | None:
    """One train into `buffer`, and how it is cut; None if there is none. `flags` as of recv."""
    try:
        length, ancillary, _, _ = sock.recvmsg_into((buffer,), _ANCILLARY_BYTES, flags)
    except BlockingIOError:
        return None
    packet_bytes = length
    for level, kind, data in ancillary:
        if level == SOL_UDP and kind == UDP_GRO:
            packet_bytes = _INT.unpack_from(data)[0]
    return Train(length, packet_bytes)


def look_at_trains(sock: socket.socket, buffer: memoryview, most: int) -> Iterator[Train]:
    """The first `most` trains that wait, one after the other in `buffer`; they go on waiting. None before Linux 4.7."""
    if not try_option(sock, socket.SOL_SOCKET, SO_PEEK_OFF, 0):
        return
    try:
        for _ in range(most):
            train = receive_train(sock, buffer, socket.MSG_PEEK)
            if train is None:
                return
            yield train
    finally:
        try_option(sock, socket.SOL_SOCKET, SO_PEEK_OFF, -1)


class GroupReceiver:
    """One UDP socket bound to the group, so that nothing else sent to the port reaches it. Use from one thread.

    Raises LocalError: interface down or without address, port held by a program that does not share it. With `merge`
    the kernel hands over trains (UDP_GRO) where it can; otherwise each receive brings one packet.
    """

    def __init__(
        self,
        group: Group,
        interface: Interface,
        *,
        merge: bool = True,
        buffer_bytes: int = RECEIVE_BUFFER_BYTES,
        member: socket.socket | None = None,
    ) -> None:
        """`member` is a socket that belongs to the group already, made by `member_socket`; owned from now on."""
        interface.check_up()
        interface.source(group.family)
        self.group = group
        self.interface = interface
        try:
            self._socket = member or member_socket(
                group.address,
                group.port,
                source=group.source,
                index=interface.index,
                buffer_bytes=buffer_bytes,
                merge=merge,
            )
        except OSError as error:
            raise explain(f"cannot join {group.address} on {interface.name}", error) from None
        self.buffer_bytes = buffer_of(self._socket)
        self.merging = is_merging(self._socket)
        self._dropped = 0
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)

    def fileno(self) -> int:
        """To wait on; -1 once closed."""
        return self._socket.fileno()

    def receive(self, buffer: memoryview) -> int | None:
        """One train into `buffer`, of TRAIN_MAX_BYTES at least: its length; None if there is none. Never waits.

        All its packets have one length but the last, which may be shorter. The kernel would say which; that, and to
        look at it, takes a third of the time of a receive, and who knows what is sent need not ask. Raises OSError
        when the interface is gone.
        """
        try:
            return self._socket.recv_into(buffer)
        except BlockingIOError:
            return None

    def overflows(self) -> int:
        """Packets (or trains) that this host dropped since the last call because the socket's buffer was full."""
        now = dropped(self._socket)
        more, self._dropped = (now - self._dropped) % _COUNT_WRAP, now
        return more

    def queued_bytes(self) -> int:
        """What waits in the socket's buffer, in the memory it takes there; 0 before Linux 4.12."""
        return queued_bytes(self._socket)

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
