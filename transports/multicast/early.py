"""Belonging to the group before anything else is imported: what comes meanwhile waits in the socket's buffer.

A client's program takes longer to start than its group to join; where many start on few cores, as long as a tenth of
the image takes to send.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.errors import UsageError
from transports.multicast.evidence import interface_towards
from transports.multicast.proto.limits import HEADER_BYTES
from transports.multicast.udp.group import Group
from transports.multicast.udp.incoming import TRAIN_MAX_BYTES, GroupReceiver
from transports.multicast.udp.interface import Interface, find_interface

if TYPE_CHECKING:
    from transports.control import SessionOpened

__all__ = ["BUFFER_BYTES", "JAMMED_FROM_BYTES", "EarlyReceiver", "listen"]

BUFFER_BYTES = 128 * 1024 * 1024
"""Held only while it is filled: 5 s at 200 Mbit/s, 1 s at 1 Gbit/s. What does not fit is lost and repaired."""
JAMMED_SHARE = 0.6
"""Of what is sent: a link on which less comes is too narrow for the cast, or very bad. A packet takes more room in the
buffer than on the wire, so that this is less of the packets."""
LOOK_PACKETS = 1 << 15
"""By which it is seen how many were lost: more than wait before a link is known to be jammed."""
JAMMED_FROM_BYTES = 1024 * 1024
"""Less than this says nothing: the cast may wait, or rest."""


class EarlyReceiver(GroupReceiver):
    """A member's socket that nobody reads yet."""

    def __init__(self, group: Group, interface: Interface, *, rate_bytes_per_s: float) -> None:
        """`rate_bytes_per_s` is what the cast sends at most; 0 if it is not known."""
        super().__init__(group, interface, buffer_bytes=BUFFER_BYTES)
        self._rate = rate_bytes_per_s
        self._since = time.monotonic()

    @property
    def jams(self) -> bool:
        """See Early. A cast that sends less than it may, to more than one image say, looks like a narrow link."""
        queued = self.queued_bytes()
        sent = self._rate * (time.monotonic() - self._since)
        return JAMMED_FROM_BYTES < queued < JAMMED_SHARE * min(sent, self.buffer_bytes)

    @property
    def hears(self) -> bool:
        """See Early."""
        return self.queued_bytes() > 0

    def loss(self) -> float:
        """See Early; of what lies between the first and the last packet that wait here. Nothing of it is proven: who
        forges it keeps a client away from the group, which filling its link would do as well."""
        from transports.multicast.proto.packets import sequence_of  # needed by nobody whose link is wide enough

        buffer = memoryview(bytearray(TRAIN_MAX_BYTES))
        came = 0
        numbers: list[int] = []
        while came < LOOK_PACKETS and (train := self.receive(buffer)) is not None:
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
    parameters: Mapping[str, Any], *, interface: str | None, session: SessionOpened | None = None, host: str = ""
) -> EarlyReceiver:
    """Join the group of an offer (see CastOffer). Raises LocalError, or KeyError for an offer without a group."""
    source = str(parameters["source"])
    group = Group(
        address=str(parameters["group"]),
        port=int(parameters["group_port"]),
        source=source if parameters["source_specific"] else None,
    )
    name = interface or interface_towards(source)
    if name is None:
        raise UsageError(f"there is no route to {source}", hint="choose --interface")
    return EarlyReceiver(group, find_interface(name), rate_bytes_per_s=float(parameters.get("rate_bytes_per_s", 0.0)))
