"""Network interfaces by name."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct

from core.errors import UsageError

__all__ = ["bind_to_interface", "check_interface", "check_up", "index_towards", "interface_address"]

_SIOCGIFADDR = 0x8915
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 1
_FLAGS = struct.Struct("=H")


def check_interface(name: str) -> None:
    """UsageError, listing the interfaces there are, if there is none of this name."""
    try:
        socket.if_nametoindex(name)
    except (OSError, ValueError):
        raise UsageError(f"no network interface {name!a}", hint=_known()) from None


def check_up(name: str) -> None:
    """UsageError if there is no interface of this name, or if it is down: whoever chose it is to know at once."""
    check_interface(name)
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # struct ifreq: 16 bytes of name, then the flags
        raw = struct.pack("16s24x", name.encode("utf-8", "surrogateescape"))
        (flags,) = _FLAGS.unpack_from(fcntl.ioctl(probe.fileno(), _SIOCGIFFLAGS, raw), 16)
        if not flags & _IFF_UP:
            raise UsageError(f"network interface {name!a} is down", hint=f"ip link set {name} up")


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


def _known() -> str:
    return f"interfaces here: {', '.join(known for _, known in socket.if_nameindex())}"
