"""A multicast group and how to belong to it."""

from __future__ import annotations

import errno
import ipaddress
import socket

import msgspec

from core.errors import LocalError, UsageError
from transports.multicast.udp.interface import Interface
from transports.multicast.udp.membership import join_group, leave_group

__all__ = ["Group", "explain"]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Where a cast is sent. UsageError for what is no group, no port, or no source of that family."""

    address: str
    """224.0.0.0/4 or ff00::/8."""
    port: int
    source: str | None = None
    """The only sender wanted (source-specific multicast); None takes any."""

    def __post_init__(self) -> None:
        group = _parse(self.address)
        if not group.is_multicast:
            raise UsageError(f"{self.address} is no multicast group", hint="groups lie in 224.0.0.0/4 and in ff00::/8")
        if not 0 < self.port < 65536:
            raise UsageError(f"no UDP port: {self.port}", hint="a number from 1 to 65535")
        if self.source is not None:
            source = _parse(self.source)
            if source.version != group.version or source.is_multicast:
                raise UsageError(
                    f"{self.source} cannot be the source of group {self.address}",
                    hint="the sender's own address, of the same family as the group",
                )

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    def sockaddr(self, interface: Interface) -> tuple[str, int] | tuple[str, int, int, int]:
        """The group as an address to bind or send to through `interface`."""
        if self.family == socket.AF_INET:
            return self.address, self.port
        return self.address, self.port, 0, interface.index

    def join(self, sock: socket.socket, interface: Interface) -> None:
        """Belong to the group on `interface`. Raises OSError."""
        join_group(sock, self.address, source=self.source, index=interface.index)

    def leave(self, sock: socket.socket, interface: Interface) -> None:
        """Undo `join`. Raises OSError."""
        leave_group(sock, self.address, source=self.source, index=interface.index)


_HINTS = {
    errno.ENODEV: "the interface is gone; look at `ip link`",
    errno.ENETDOWN: "the interface is down; look at `ip link`",
    errno.ENETUNREACH: "the interface has no address or is down; look at `ip addr`",
    errno.EADDRNOTAVAIL: "the interface has no such address any more; look at `ip addr`",
    errno.ENOBUFS: "this host belongs to too many groups: net.ipv4.igmp_max_memberships",
    errno.EMSGSIZE: "packets are longer than the interface's MTU; look at `ip link`",
    errno.EPERM: "a firewall on this machine refuses it",
    errno.EADDRINUSE: "another program uses this group and port; choose another",
}


def explain(doing: str, error: OSError) -> LocalError:
    """A socket error in the words of the person who chose interface and group."""
    hint = _HINTS.get(error.errno or 0, "check the interface, the group and the firewall of this machine")
    return UsageError(f"{doing}: {error.strerror or error}", hint=hint)


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        raise UsageError(f"not an address: {address!a}", hint="give it in numbers") from None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.scope_id is not None:
        raise UsageError(f"an address with a zone: {address!a}", hint="the interface is chosen apart")
    return parsed
