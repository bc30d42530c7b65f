"""Belonging to the group before anything else is imported: what comes meanwhile waits in the socket's buffer.

A client's program takes longer to start than its group to join; where many start on few cores, as long as a tenth of
the image takes to send.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import UsageError
from transports.multicast.evidence import interface_towards
from transports.multicast.udp.group import Group
from transports.multicast.udp.incoming import GroupReceiver
from transports.multicast.udp.interface import find_interface

__all__ = ["BUFFER_BYTES", "listen"]

BUFFER_BYTES = 128 * 1024 * 1024
"""Held only while it is filled: 5 s at 200 Mbit/s, 1 s at 1 Gbit/s. What does not fit is lost and repaired."""


def listen(parameters: Mapping[str, Any], *, interface: str | None) -> GroupReceiver:
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
    return GroupReceiver(group, find_interface(name), buffer_bytes=BUFFER_BYTES)
