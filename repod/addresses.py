"""Where this repository is found: what the daemon listens on, and what clients on other machines use."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from core.config import parse_toml
from core.errors import OgcastError, UsageError
from core.netif import check_interface, interface_address, ip_version
from repod.layout import Layout
from repod.settings import DEFAULT_PORT, Settings

__all__ = ["ALL_OF", "ANY_HOST", "listen_host", "public_url", "told_url", "torrent_base"]

ANY_HOST = "0.0.0.0"
ALL_OF = {4: ANY_HOST, 6: "::"}
"""What to listen on for all addresses of a version of IP."""
_LOOPBACK = {ALL_OF[4]: "127.0.0.1", ALL_OF[6]: "::1"}
"""What to name where all addresses of that version are listened on, and none is told."""


def listen_host(settings: Settings) -> str:
    """The address to listen on. Raises UsageError if there is no such `interface`, or neither it nor `host` has one."""
    if not settings.interface:
        return settings.host or ANY_HOST
    if settings.host:
        check_interface(settings.interface)  # else each client is refused multicast, and told why, later
        return settings.host
    try:
        return interface_address(settings.interface)
    except UsageError as error:
        raise UsageError(str(error), hint=f'`host = "{ALL_OF[6]}"` listens by IPv6; {error.hint}') from None


def told_url(layout: Layout) -> SplitResult:
    """The URL that client.toml names; an empty one if it names none."""
    try:
        return urlsplit(str(parse_toml(layout.client).get("url", "")))
    except (OgcastError, ValueError):
        return urlsplit("")


def public_url(layout: Layout, settings: Settings, scheme: str, host: str, port: int) -> str:
    """What a client on another machine would use; with a wildcard, the host that client.toml names, unless that is an
    address of the version of IP that is not listened on."""
    name = settings.advertise or host
    if name in _LOOPBACK:
        told = told_url(layout).hostname
        name = told if told and ip_version(told) in (None, ip_version(name)) else _LOOPBACK[name]
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"


def torrent_base(layout: Layout, settings: Settings) -> str:
    """Where BitTorrent clients find tracker and web seed: plain HTTP if switched on, the control port otherwise."""
    host = listen_host(settings)
    if settings.torrents.http_port:
        return public_url(layout, settings, "http", host, settings.torrents.http_port)
    port = settings.port or told_url(layout).port or DEFAULT_PORT
    return public_url(layout, settings, "https", host, port)
