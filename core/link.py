"""What the kernel says about a network link: which one leads somewhere, how fast it is, whether it is wireless."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import msgspec

from core.errors import UsageError
from core.netif import interface_address

__all__ = ["Link", "link_of", "link_towards"]

_SYS = Path("/sys/class/net")
_DISCARD_PORT = 9


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One interface."""

    name: str
    bytes_per_s: float | None = None
    """Its speed; None where it has none to tell (loopback, wireless, down)."""
    wireless: bool = False


def link_of(name: str, *, sys: Path = _SYS) -> Link:
    """What is known of an interface; nothing if there is none of this name."""
    folder = sys / name
    megabits = 0
    with contextlib.suppress(OSError, ValueError):
        megabits = int((folder / "speed").read_text(encoding="ascii"))
    return Link(
        name=name,
        bytes_per_s=megabits * 125_000.0 if megabits > 0 else None,
        wireless=(folder / "wireless").exists() or (folder / "phy80211").exists(),
    )


def link_towards(host: str) -> Link | None:
    """The interface that packets to `host` (an IPv4 address or name) leave through; None if that is not to be found.

    Nothing is sent; a name is looked up, which may take a while.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, _DISCARD_PORT))
            own = probe.getsockname()[0]
        except (OSError, UnicodeError):
            return None
    for _, name in socket.if_nameindex():
        with contextlib.suppress(UsageError):
            if interface_address(name) == own:
                return link_of(name)
    return None
