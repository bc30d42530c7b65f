"""Which group and port a cast gets: allocated from a configured range, never used twice at once."""

from __future__ import annotations

import ipaddress
import random

import msgspec

from core.errors import BusyError, UsageError

__all__ = [
    "Endpoint",
    "GroupRange",
    "check_group",
    "default_groups",
    "is_source_specific",
    "parse_groups",
    "parse_ports",
]

TRIES_MAX = 64
"""Random picks before all are looked at in order."""

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_V4_LOCAL = ipaddress.ip_network("224.0.0.0/24")
_V4_SSM = ipaddress.ip_network("232.0.0.0/8")


class Endpoint(msgspec.Struct, frozen=True):
    """Where packets to a group go."""

    group: str
    port: int

    def __str__(self) -> str:
        return f"[{self.group}]:{self.port}" if ":" in self.group else f"{self.group}:{self.port}"


def default_groups(*, ssm: bool, ipv6: bool) -> str:
    """The range taken when repod.toml names none: source-specific (RFC 4607), else of organisation scope (RFC 2365),
    where OpenGnsys has its own."""
    if ipv6:
        return "ff35::8000:0/112" if ssm else "ff15::4f47:0/112"
    return "232.194.0.0/16" if ssm else "239.194.0.0/16"


def check_group(text: str) -> IPAddress:
    """A group that may carry a cast. UsageError for what is no multicast address, or one that routers use."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise UsageError(f"{text[:64]!a} is no IP address", hint="a group looks like 239.194.17.36") from None
    if not address.is_multicast:
        raise UsageError(
            f"{address} is no multicast group", hint="groups lie in 224.0.0.0/4 (better 232.0.0.0/8 or 239.0.0.0/8)"
        )
    if address in _V4_LOCAL:
        raise UsageError(
            f"{address} is in 224.0.0.0/24, which routers use and switches flood",
            hint="take one of 232.0.0.0/8 or 239.0.0.0/8",
        )
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise UsageError(
            f"{address} names an interface", hint="leave out what follows %: repod.toml names the interface"
        )
    if isinstance(address, ipaddress.IPv6Address) and int(address) >> 112 & 0xF < 3:
        raise UsageError(f"{address} does not leave its link", hint="take one of ff35::/32 or ff15::/16")
    return address


def parse_groups(text: str) -> IPNetwork:
    """A range of groups, `232.194.0.0/16`. UsageError unless all of it is multicast."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"range of groups {text[:64]!a}: {error}", hint="write 232.194.0.0/16") from None
    check_group(str(network[0]))
    check_group(str(network[-1]))
    return network


def parse_ports(text: str) -> tuple[int, int]:
    """A range of ports, `9000-9098`, or one port. UsageError for anything else."""
    first, dash, last = text.partition("-")
    if first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit())):
        low, high = int(first), int(last or first)
        if 1024 <= low <= high <= 65535:
            return low, high
    raise UsageError(f"range of ports {text[:64]!a}", hint="write 9000-9098; ports lie from 1024 to 65535")


class GroupRange:
    """Hands out endpoints. At random, so that two repositories on one network seldom meet; when they do, packets of the
    other are told by their authenticator."""

    def __init__(self, groups: str, ports: str, *, rng: random.Random) -> None:
        self._groups = parse_groups(groups)
        self._ports = parse_ports(ports)
        self._random = rng
        self._used: dict[Endpoint, object] = {}

    def __len__(self) -> int:
        return len(self._used)

    def acquire(self, wish: Endpoint | None = None) -> Endpoint:
        """An endpoint nobody has; `wish` if it is free. BusyError when all are in use."""
        if wish is not None and wish not in self._used:
            return self._take(wish)
        low, high = self._ports
        groups, ports = self._groups.num_addresses, high - low + 1
        for attempt in range(min(TRIES_MAX + groups * ports, TRIES_MAX + len(self._used) + 1)):
            number = self._random.randrange(groups * ports) if attempt < TRIES_MAX else attempt - TRIES_MAX
            found = Endpoint(str(self._groups[number // ports]), low + number % ports)
            if found not in self._used:
                return self._take(found)
        raise BusyError(
            f"all {groups * ports} groups of multicast are in use", hint="widen groups or ports in repod.toml"
        )

    def release(self, endpoint: Endpoint) -> None:
        """It may be given to another cast; harmless when repeated."""
        self._used.pop(endpoint, None)

    def _take(self, endpoint: Endpoint) -> Endpoint:
        self._used[endpoint] = True
        return endpoint


def is_source_specific(group: str) -> bool:
    """True in the ranges where switches expect a source with every join."""
    address = ipaddress.ip_address(group)
    return address in _V4_SSM if address.version == 4 else int(address) >> 112 & 0xFFF0 == 0xFF30
