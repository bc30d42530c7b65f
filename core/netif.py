"""Network interfaces by name."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct

from core.errors import UsageError

__all__ = [
    "bind_to_interface",
    "check_interface",
    "check_usable",
    "check_zone",
    "index_towards",
    "interface_address",
    "ip_version",
]

_SIOCGIFADDR = 0x8915
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 1
_FLAGS = struct.Struct("=H")
_PROC = "/proc/thread-self/net"


def check_interface(name: str) -> None:
    """UsageError, listing the interfaces there are, if there is none of this name."""
    try:
        socket.if_nametoindex(name)
    except (OSError, ValueError):
        raise UsageError(f"no network interface {name!a}", hint=_known()) from None


def check_zone(host: str) -> None:
    """UsageError if `host` is an address of a link that this machine does not have (fe80::1%eth0)."""
    zone = host.partition("%")[2]
    if zone and not zone.isdecimal():  # a number is looked up by who connects
        check_interface(zone)


def check_usable(name: str, host: str) -> None:
    """UsageError if there is no interface of this name, if it is down, or if it has neither an address nor a route for
    the kind of IP that `host` has: whoever chose it is to know at once, and what is sent there is answered by nobody.
    """
    check_interface(name)
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # struct ifreq: 16 bytes of name, then the flags
        raw = struct.pack("16s24x", name.encode("utf-8", "surrogateescape"))
        (flags,) = _FLAGS.unpack_from(fcntl.ioctl(probe.fileno(), _SIOCGIFFLAGS, raw), 16)
        if not flags & _IFF_UP:
            raise UsageError(f"network interface {name!a} is down", hint=f"ip link set {name} up")
    versions = _versions(host)
    if not any(_reaches(name, version) for version in versions):
        kind = f"IPv{versions[0]} address" if len(versions) == 1 else "address"
        raise UsageError(
            f"network interface {name!a} has no {kind}",
            hint=f"it got none from DHCP, or it is not the one that leads to {host}; {_known()}",
        )


def interface_address(name: str) -> str:
    """The IPv4 address of an interface. UsageError, listing those there are, if it has none or is not there."""
    check_interface(name)
    raw = name.encode("utf-8", "surrogateescape")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            # struct ifreq: 16 bytes of name, then a sockaddr_in whose address is at byte 4
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("16s24x", raw))
    except OSError:
        raise UsageError(f"no IPv4 address on interface {name!a}", hint=_known()) from None
    return socket.inet_ntoa(answer[20:24])


def index_towards(address: str) -> int | None:
    """Number of the interface that packets to an IPv4 address leave through; None without a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))  # nothing is sent
            own = probe.getsockname()[0]
        except OSError:
            return None
    for index, name in socket.if_nameindex():
        with contextlib.suppress(UsageError):
            if interface_address(name) == own:
                return index
    return None


def bind_to_interface(sock: socket.socket, name: str) -> None:
    """Let `sock` send and receive through this interface only, whatever the routes say.

    UsageError, listing the interfaces there are, if there is none of this name. Needs no privilege since Linux 5.7.
    """
    check_interface(name)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode("utf-8", "surrogateescape"))


def ip_version(host: str) -> int:
    """4 or 6 of an address; 0 of a name."""
    import ipaddress  # who listens early needs all of this but that

    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return 0


def _versions(host: str) -> tuple[int, ...]:
    version = ip_version(host)
    return (version,) if version else (4, 6)  # a name may be either


def _reaches(name: str, version: int) -> bool:
    """Whether the interface has an address of this version, or a route of IPv4: that needs no address of its own."""
    if version == 6:
        return _listed("if_inet6", name, column=5)
    with contextlib.suppress(UsageError):
        return bool(interface_address(name))
    return _listed("route", name, column=0)


def _listed(table: str, name: str, *, column: int) -> bool:
    """Whether a table of this thread's namespace names the interface; routes that cannot be read are assumed."""
    try:
        with open(f"{_PROC}/{table}", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return table != "if_inet6"  # without IPv6 there is no table of its addresses
    return any(words[column : column + 1] == [name] for words in (line.split() for line in lines))


def _known() -> str:
    return f"interfaces here: {', '.join(known for _, known in socket.if_nameindex())}"
