"""Which members are near to each other: what they say themselves, else the network their address is in."""

from __future__ import annotations

from core import subnets
from transports.p2p.proto.limits import MAX_SUBNET_CHARS

__all__ = ["subnet_of"]


def subnet_of(address: str, claimed: str = "") -> str:
    """The subnet of a member: `claimed` if it is a printable name, else that of its address."""
    name = claimed.strip()
    if 0 < len(name) <= MAX_SUBNET_CHARS and name.isprintable():
        return name
    return subnets.subnet_of(address)
