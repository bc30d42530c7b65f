"""The network interface a cast uses: always chosen, never left to the routing table."""

from __future__ import annotations

import fcntl
import socket
import struct
from ipaddress import IPv6Address
from pathlib import Path

import msgspec

from core.errors import UsageError

__all__ = ["Interface", "find_interface", "interface_of"]

_SIOCGIFFLAGS = 0x8913
_SIOCGIFADDR = 0x8915
_SIOCGIFMTU = 0x8921
_IFF_UP = 0x1
_NAME_MAX_BYTES = 15


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """One interface as it was when it was looked up."""

    name: str
    index: int
    """Number the kernel knows it by."""
    up: bool
    mtu_bytes: int
    """Largest IP packet of its link; what decides the size of symbols."""
    ipv4: str | None
    """Its first IPv4 address."""
    ipv6: tuple[str, ...]
    """Its IPv6 addresses, those of wider scope first."""

    def source(self, family: socket.AddressFamily) -> str:
        """The address packets leave from. UsageError if it has none of that family."""
        by_version = {4: self.ipv4, 6: next(iter(self.ipv6), None)}
        version, other = (4, 6) if family == socket.AF_INET else (6, 4)
        address = by_version[version]
        if address is None:
            # The reason travels to clients without its hint, so what to do about it is in the reason.
            instead = f", only IPv{other}: repod.toml may say `ip = {other}` for multicast" if by_version[other] else ""
            raise UsageError(
                f"no IPv{version} address on interface {self.name!a}{instead}",
                hint=f"give it one, or choose another: {_known()}",
            )
        return address

    def stands(self, family: socket.AddressFamily) -> bool:
        """Whether a socket made when this was looked up can still send: the interface is the one it was, and has the
        address packets left from. One that is down does; what was plugged in anew has another number."""
        try:
            now = find_interface(self.name)
            return now.index == self.index and now.source(family) == self.source(family)
        except UsageError:
            return False

    def check_up(self) -> None:
        """UsageError if the interface is down."""
        if not self.up:
            raise UsageError(f"interface {self.name!a} is down", hint=f"ip link set {self.name} up")


def find_interface(name: str) -> Interface:
    """The interface called `name`. UsageError, listing those there are, if there is none."""
    raw = name.encode("utf-8", "surrogateescape")
    try:
        if not 0 < len(raw) <= _NAME_MAX_BYTES:
            raise OSError("not an interface name")
        index = socket.if_nametoindex(name)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            # struct ifreq: 16 bytes of name, then the flags
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFFLAGS, struct.pack("16s24x", raw))
            (flags,) = struct.unpack_from("=H", answer, 16)
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFMTU, struct.pack("16s24x", raw))
            (mtu_bytes,) = struct.unpack_from("=i", answer, 16)
            ipv4 = _ipv4(probe, raw)
    except (OSError, ValueError):
        raise UsageError(f"no interface {name!a}", hint=f"interfaces here: {_known()}") from None
    up = bool(flags & _IFF_UP)
    return Interface(name=name, index=index, up=up, mtu_bytes=mtu_bytes, ipv4=ipv4, ipv6=_ipv6(name))


def interface_of(address: str) -> Interface:
    """The interface that holds `address`. UsageError if none does."""
    for _, name in socket.if_nameindex():
        interface = find_interface(name)
        if address == interface.ipv4 or address in interface.ipv6:
            return interface
    raise UsageError(f"no interface here has the address {address}", hint=f"interfaces here: {_known()}")


def _ipv4(probe: socket.socket, raw: bytes) -> str | None:
    try:
        # struct ifreq: 16 bytes of name, then a sockaddr_in whose address is at byte 4
        answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("16s24x", raw))
    except OSError:
        return None
    return socket.inet_ntoa(answer[20:24])


def _ipv6(name: str) -> tuple[str, ...]:
    """From if_inet6 of this thread's namespace: address, index, prefix length, scope, flags, name."""
    try:
        lines = Path("/proc/thread-self/net/if_inet6").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ()
    fields = [line.split() for line in lines]
    mine = [IPv6Address(int(words[0], 16)) for words in fields if len(words) == 6 and words[5] == name]
    return tuple(str(address) for address in sorted(mine, key=lambda address: address.is_link_local))


def _known() -> str:
    return ", ".join(name for _, name in socket.if_nameindex())
