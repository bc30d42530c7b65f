"""Plain HTTP for BitTorrent clients, which trust no pinned certificate: only where `torrents.http_port` is set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from core.errors import OgcastError
from repod.api.application import make_torrent_application
from repod.api.routes import STRANGERS
from repod.daemon import Daemon
from repod.listener import Listener, bind, http_log

__all__ = ["plain_http"]

KEEPALIVE_S = 75.0
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
        application = make_torrent_application(daemon)
        runner = web.AppRunner(
            application,
            access_log=None,
            logger=http_log(),
            handle_signals=False,
            keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=SHUTDOWN_S,
        )
        await runner.setup()
        try:
            if runner.server is None:
                raise OgcastError("the HTTP server for torrents did not start")
            listener = Listener(sock, runner.server, None, daemon, application[STRANGERS])
            listener.start()
            try:
                yield int(sock.getsockname()[1])
            finally:
                await listener.close()
        finally:
            await runner.cleanup()
