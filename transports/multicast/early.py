"""Belonging to the group before anything else is imported: what comes meanwhile waits in the socket's buffer.

A client's program takes longer to start than its group to join; where many start on few cores, as long as a tenth of
the image takes to send.
"""

from __future__ import annotations

import socket
import time

from core.errors import UsageError
from core.netif import index_towards
from transports.multicast.udp.membership import buffer_of, member_socket, queued_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:  # see client/early.py
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Any

    from transports.multicast.udp.group import Group
    from transports.multicast.udp.incoming import GroupReceiver
    from transports.multicast.udp.interface import Interface

__all__ = ["BUFFER_BYTES", "JAMMED_FROM_BYTES", "EarlyReceiver", "listen"]

BUFFER_BYTES = 128 * 1024 * 1024
"""Held only while it is filled: 5 s at 200 Mbit/s, 1 s at 1 Gbit/s. What does not fit is lost and repaired."""
JAMMED_SHARE = 0.6
"""Of what is sent: a link on which less comes is too narrow for the cast, or very bad. A packet takes more room in the
buffer than on the wire, so that this is less of the packets."""
JAMMED_LOSS = 0.2
"""Of what waits: where less of it is missing, less comes because less is sent, by a machine that is not fast enough or
has something else to send."""
LOOK_TRAINS = 512
"""By which it is seen how many are missing: a megabyte of single packets, JAMMED_FROM_BYTES are fewer."""
JAMMED_FROM_BYTES = 1024 * 1024
"""Less than this says nothing: the cast may wait, or rest."""


class EarlyReceiver:
    """A member's socket that nobody reads yet; it is closed, or adopted by what reads it. Raises OSError."""

    def __init__(
        self, address: str, port: int, source: str | None, *, index: int, rate_bytes_per_s: float = 0.0
    ) -> None:
        """On the interface of number `index`. `rate_bytes_per_s` is what the cast sends at most; 0: not known."""
        self._belongs = (address, port, source, index)
        self._rate = rate_bytes_per_s
        self._since = time.monotonic()
        self.sock = member_socket(address, port, source=source, index=index, buffer_bytes=BUFFER_BYTES, merge=True)
        self._adopted = False

    def belongs_to(self, address: str, port: int, source: str | None, *, index: int) -> bool:
        """Whether this is the group, and the interface, it listens to."""
        return self._belongs == (address, port, source, index)

    def adopt(self, group: Group, interface: Interface) -> GroupReceiver:
        """What reads the socket, and owns it from now on. Raises LocalError when the interface cannot be used."""
        from transports.multicast.udp.incoming import GroupReceiver

        try:
            receiver = GroupReceiver(group, interface, member=self.sock)
        except BaseException:
            self.close()
            raise
        self._adopted = True
        return receiver

    @property
    def jams(self) -> bool:
        """See Early. Little comes, and of what was sent much is missing."""
        queued = queued_bytes(self.sock)
        sent = self._rate * (time.monotonic() - self._since)
        little = JAMMED_FROM_BYTES < queued < JAMMED_SHARE * min(sent, buffer_of(self.sock))
        return little and self.loss() >= JAMMED_LOSS

    @property
    def hears(self) -> bool:
        """See Early."""
        return queued_bytes(self.sock) > 0

    def close(self) -> None:
        """See Early; what was adopted goes on."""
        if not self._adopted:
            self.sock.close()

    def __enter__(self) -> EarlyReceiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def loss(self) -> float:
        """See Early; of what lies between the first and last packet that wait here, and go on waiting. Nothing of it is
        proven: who forges it keeps a client away from the group, which filling its link would do as well."""
        # needed by nobody whose link is wide enough
        from transports.multicast.proto.limits import HEADER_BYTES
        from transports.multicast.proto.packets import sequence_of
        from transports.multicast.udp.incoming import TRAIN_MAX_BYTES, look_at_trains

        buffer = memoryview(bytearray(TRAIN_MAX_BYTES))
        came = 0
        numbers: list[int] = []
        for train in look_at_trains(self.sock, buffer, LOOK_TRAINS):
            size = max(1, train.packet_bytes)
            starts = range(0, train.length, size)
            came += len(starts)
            ends = {starts[0], starts[-1]} if starts else ()
            numbers += [
                sequence_of(buffer[start : start + size], numbers[-1] if numbers else 0)
                for start in ends
                if train.length >= start + HEADER_BYTES
            ]
        span = max(numbers) - min(numbers) + 1 if numbers else 0
        return max(0.0, 1 - came / span) if span else 0.0


def listen(
    parameters: Mapping[str, Any], *, interface: str | None, session: bytes = b"", host: str = ""
) -> EarlyReceiver:
    """Join the group of an offer (see CastOffer). Raises OSError, UsageError, or KeyError for one without a group."""
    source = str(parameters["source"])
    index = socket.if_nametoindex(interface) if interface else _index_towards(source)
    if index is None:
        raise UsageError(f"there is no route to {source}", hint="choose --interface")
    return EarlyReceiver(
        str(parameters["group"]),
        int(parameters["group_port"]),
        source if parameters["source_specific"] else None,
        index=index,
        rate_bytes_per_s=float(parameters.get("rate_bytes_per_s", 0.0)),
    )


def _index_towards(source: str) -> int | None:
    if ":" not in source:
        return index_towards(source)
    from transports.multicast.evidence import interface_towards

    name = interface_towards(source)
    return None if name is None else socket.if_nametoindex(name)
