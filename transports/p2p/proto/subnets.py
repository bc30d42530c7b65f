"""Which members are near to each other: what they say themselves, else the network their address is in."""

from __future__ import annotations

import ipaddress

from transports.p2p.proto.limits import MAX_SUBNET_CHARS

__all__ = ["subnet_of"]

IPV4_PREFIX = 24
IPV6_PREFIX = 64


def subnet_of(address: str, claimed: str = "") -> str:
    """The subnet of a member: `claimed` if it is a printable name, else the /24 or /64 of its address."""
    name = claimed.strip()
    if 0 < len(name) <= MAX_SUBNET_CHARS and name.isprintable():
        return name
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    prefix = IPV4_PREFIX if parsed.version == 4 else IPV6_PREFIX
    return str(ipaddress.ip_network((parsed, prefix), strict=False))
