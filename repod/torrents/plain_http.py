"""Plain HTTP for BitTorrent clients, which trust no pinned certificate: only where `torrents.http_port` is set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from repod.api.application import make_torrent_application
from repod.daemon import Daemon
from repod.listener import answering, bind

__all__ = ["plain_http"]

SHUTDOWN_S = 1.0


@asynccontextmanager
async def plain_http(daemon: Daemon, host: str) -> AsyncIterator[int | None]:
    """Listen while the block runs; gives the port, or None where nothing listens.

    Raises LockedError if the port is taken, UsageError for an address that is not of this machine.
    """
    wanted = daemon.settings.torrents.http_port
    if not wanted:
        yield None
        return
    with bind(host, wanted, chooser="torrents.http_port in repod.toml") as sock:
        async with answering(make_torrent_application(daemon), sock, None, daemon, shutdown_s=SHUTDOWN_S):
            yield int(sock.getsockname()[1])
