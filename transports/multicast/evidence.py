"""Finding out why a cast does not arrive: what the kernel knows about interface, routes, IGMP and counters.

Everything here is best effort: what cannot be read is taken for normal.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

from core.errors import UsageError
from transports.multicast.proto.diagnosis import Evidence
from transports.multicast.udp.interface import find_interface

__all__ = ["gather", "interface_towards", "multicast_packets"]

_SIOCGIFNETMASK = 0x891B
_PROC = Path("/proc/thread-self/net")


def interface_towards(address: str) -> str | None:
    """The interface that packets to `address` leave through; None without a route."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))  # nothing is sent
            own = probe.getsockname()[0]
        except OSError:
            return None
    for _, name in socket.if_nameindex():
        with contextlib.suppress(UsageError):
            interface = find_interface(name)
            if own == interface.ipv4 or own in interface.ipv6:
                return name
    return None


def multicast_packets(*, interface: str = "", ipv6: bool = False) -> int:
    """Multicast packets this host (or namespace) has taken in so far, before any filter of its own looked at them.

    Those of IPv6 are counted for each interface, those of IPv4 for all together. What neighbours of IPv6 tell each
    other (ICMP) is taken off: it is multicast, and passes where groups do not.
    """
    with contextlib.suppress(OSError, ValueError, IndexError, KeyError):
        if ipv6:
            table = (_PROC / "dev_snmp6" / interface).read_text(encoding="ascii")
            counts = dict(line.split() for line in table.splitlines())
            return int(counts["Ip6InMcastPkts"]) - int(counts.get("Icmp6InMsgs", 0))
        lines = [line.split() for line in (_PROC / "netstat").read_text(encoding="ascii").splitlines()]
        names, values = (words for words in lines if words and words[0] == "IpExt:")
        return int(values[names.index("InMcastPkts")])
    return 0


def gather(
    *,
    interface: str,
    group: str,
    source: str,
    source_specific: bool,
    ttl: int,
    probes_sent: int,
    probes_received: int,
    multicast_before: int,
    forged: int = 0,
) -> Evidence:
    """Look around now."""
    up, address = False, None
    with contextlib.suppress(UsageError):
        found = find_interface(interface)
        up = found.up
        address = found.ipv4 if ":" not in group else next(iter(found.ipv6), None)
    return Evidence(
        interface=interface,
        up=up,
        address=address,
        group=group,
        source=source,
        source_specific=source_specific,
        ttl=ttl,
        same_subnet=_same_subnet(interface, address, source),
        route_interface=interface_towards(source),
        reverse_path_filter=_number(Path(f"/proc/sys/net/ipv4/conf/{interface}/rp_filter")),
        igmp_version=_igmp_version(interface),
        multicast_packets=max(0, multicast_packets(interface=interface, ipv6=":" in group) - multicast_before),
        foreign_packets=forged,
        probes_sent=probes_sent,
        probes_received=probes_received,
    )


def _same_subnet(interface: str, address: str | None, source: str) -> bool:
    if address is None:
        return True
    if ":" in source:
        return _same_subnet6(interface, ipaddress.IPv6Address(source))
    with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe.fileno(), _SIOCGIFNETMASK, struct.pack("16s24x", interface.encode()[:15]))
        mask = socket.inet_ntoa(answer[20:24])
        return ipaddress.ip_address(source) in ipaddress.ip_network(f"{address}/{mask}", strict=False)
    return True


def _same_subnet6(interface: str, source: ipaddress.IPv6Address) -> bool:
    """From if_inet6: address, index, prefix length in hexadecimal, scope, flags, name."""
    with contextlib.suppress(OSError, ValueError):
        lines = (_PROC / "if_inet6").read_text(encoding="ascii").splitlines()
        networks = [
            ipaddress.IPv6Network((int(words[0], 16), int(words[2], 16)), strict=False)
            for words in (line.split() for line in lines)
            if len(words) == 6 and words[5] == interface
        ]
        return not networks or any(source in network for network in networks)
    return True


def _igmp_version(interface: str) -> int:
    """From the table of memberships: `2  eth0  :  1  V3`."""
    with contextlib.suppress(OSError, ValueError):
        for line in (_PROC / "igmp").read_text(encoding="ascii").splitlines():
            words = line.split()
            if len(words) >= 5 and words[1] == interface and words[-1][:1] == "V":
                return int(words[-1][1:])
    return 3


def _number(path: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return 0
