"""`repod serve`: the repository opened, sockets listening, clients accepted until told to stop."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from core.logs import get_logger
from core.netif import ip_version
from core.service import notify, supervised
from images.repository import Repository
from repod.addresses import ALL_OF, listen_host, public_url, told_url
from repod.api.application import make_application
from repod.certificate import server_context, validity_trouble
from repod.daemon import build_daemon
from repod.layout import Layout
from repod.listener import answering, bind
from repod.settings import DEFAULT_PORT, Settings
from repod.torrents.plain_http import plain_http

__all__ = ["Serving", "serve"]

SHUTDOWN_S = 2.0
"""Time requests get to end once sessions have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where a daemon that accepts clients is found."""

    url: str
    ports: dict[str, int]
    """Data port of each transport that has one."""
    torrent_port: int | None = None
    """Port of plain HTTP for BitTorrent clients, where that is switched on."""
    host: str = ""
    """What is listened on."""

    def line(self, layout: Layout) -> str:
        """The one line that says so."""
        ports = [f"{name} lane {port}" for name, port in self.ports.items()]
        ports += [f"torrents {self.torrent_port}"] if self.torrent_port is not None else []
        return f"repod: serving {layout.root} on {self.url}" + (f" ({', '.join(ports)})" if ports else "")

    def unlike_client_toml(self, layout: Layout) -> str | None:
        """What to tell when client.toml leads to another port, or to the version of IP that is not listened on: clients
        that follow it find nobody, or a stranger."""
        told, here = told_url(layout), urlsplit(self.url)
        if not told.hostname:
            return None
        version, listened = ip_version(told.hostname), ip_version(self.host)
        if version and listened and version != listened:
            return (
                f"client.toml names {told.hostname}, and only IPv{listened} is listened on ({self.host}): set host in "
                f"repod.toml (`{ALL_OF[version]}` is all of IPv{version}), or give clients another address by --repo"
            )
        if (told.port or DEFAULT_PORT) == here.port:
            return None
        return (
            f"client.toml names port {told.port or DEFAULT_PORT}: clients need --repo {self.url}, or that as their url"
        )


async def serve(
    layout: Layout, settings: Settings, stop: asyncio.Event, *, on_ready: Callable[[Serving], None]
) -> None:
    """Serve until `stop` is set. `on_ready` is called once, when clients are accepted.

    Raises LocalErrors for what prevents it: no repository, port in use, wrong settings.
    """
    tls = server_context(layout.certificate, layout.tls_key) if layout.certificate.exists() else None
    with Repository.open(layout.root) as repository, layout.only_daemon():
        tls = tls or server_context(layout.certificate, layout.tls_key)
        if (trouble := validity_trouble(layout.certificate, now=datetime.datetime.now(datetime.UTC))) is not None:
            get_logger("repod").warning("certificate_dates", message=f"{trouble} (docs/operations.md)")
        host = listen_host(settings)
        daemon = build_daemon(layout, repository, settings)
        with bind(host, settings.port) as sock:
            port = int(sock.getsockname()[1])
            await daemon.lanes.start(settings, host=host, advertise=settings.advertise or None, control_port=port)
            try:
                async with answering(make_application(daemon), sock, tls, daemon, shutdown_s=SHUTDOWN_S):
                    try:
                        async with plain_http(daemon, host) as torrent_port:
                            ports = daemon.lanes.ports()
                            url = public_url(layout, settings, "https", host, port)
                            on_ready(Serving(url=url, ports=ports, torrent_port=torrent_port, host=host))
                            notify("READY=1")
                            await supervised(stop, daemon.watch())
                            notify("STOPPING=1")
                    finally:
                        await daemon.wind_down()
            finally:
                daemon.torrents.close()
                await daemon.lanes.stop()
