"""The listening socket of the control API, and the bound on its connections."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import socket
import ssl
from collections.abc import AsyncIterator

from aiohttp import http_exceptions, web
from aiohttp.web_protocol import RequestHandler

from core.callers import Callers
from core.connecting import retransmit_soon
from core.errors import LockedError, OgcastError, UsageError
from core.logs import get_logger
from repod.api.routes import STRANGERS
from repod.daemon import Daemon

__all__ = ["Listener", "answering", "bind"]

BACKLOG = 1024
"""A whole room starts at the same moment."""
TLS_HANDSHAKE_S = 15.0
_GONE_KEPT_MAX = 64
"""Strangers that are gone are looked for when there are more of them in the books than this."""
KEEPALIVE_S = 75.0
ACCEPT_PAUSE_S = 1.0
"""Out of descriptors: try again after this long."""


def bind(host: str, port: int, *, chooser: str = "--port") -> socket.socket:
    """A socket bound to `host` (a name or address); `chooser` is what sets its port.

    Raises LockedError if the port is taken, UsageError otherwise.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)
    except socket.gaierror as error:
        raise UsageError(
            f"no such address: {host!a} ({error.strerror})", hint="give an address of this machine"
        ) from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise LockedError(
                f"port {port} of {host} is in use", hint=f"is a repod running already? {chooser} chooses another"
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise UsageError(
                f"no permission to listen on {host} port {port}",
                hint=f"ports below 1024 need root; {chooser} chooses another",
            ) from None
        raise UsageError(
            f"cannot listen on {host} port {port}: {error.strerror}", hint="--host takes an address of this machine"
        ) from None


class Listener:
    """Accepts clients on a bound socket, at most limits.connections at once.

    Those that still shake hands count too: nobody has shown a token yet, and each takes tens of kilobytes. At the limit
    the oldest of `strangers` makes room, so that no crowd that only connects keeps clients out; if all have just come,
    the new one is closed before it costs a handshake. Without `tls` it is plain HTTP. The socket stays the caller's to
    close.
    """

    def __init__(
        self,
        sock: socket.socket,
        server: web.Server,
        tls: ssl.SSLContext | None,
        daemon: Daemon,
        strangers: Callers[object],
    ) -> None:
        self._sock = sock
        self._server = server
        self._tls = tls
        self._daemon = daemon
        self._strangers = strangers
        self._arriving: dict[object, asyncio.Task[None]] = {}
        """Those that shake hands, by what will answer them."""
        self._accepting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen, and accept from now on. Call on the running loop."""
        self._sock.listen(BACKLOG)
        retransmit_soon(self._sock)
        self._sock.setblocking(False)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def close(self) -> None:
        """Accept nobody any more, and let go of those that still shake hands."""
        tasks = [*self._arriving.values()]
        if self._accepting is not None:
            tasks.append(self._accepting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._sock)
            except ConnectionError:
                continue  # gone before it was taken
            except OSError as error:
                get_logger("repod.listener").warning("accept failed", message=str(error))
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            if not self._has_room(loop.time()):
                self._daemon.connections_refused += 1
                sock.close()
                continue
            handler = self._server()
            self._strangers.handle_connected(handler, now=loop.time())
            task = loop.create_task(self._admit(sock, handler))
            self._arriving[handler] = task
            task.add_done_callback(functools.partial(self._arrived, handler))

    def _arrived(self, handler: object, task: asyncio.Task[None]) -> None:
        del self._arriving[handler]

    def _has_room(self, now: float) -> bool:
        """Whether another may come in; a stranger is hung up on for it if need be."""
        there = len(self._arriving) + len(self._server.connections)
        if len(self._strangers) > 2 * there + _GONE_KEPT_MAX:
            self._strangers.handle_gone(self._gone)
        if there < self._daemon.settings.limits.connections:
            return True
        while (stranger := self._strangers.poll_displaced(now=now)) is not None:
            if not self._gone(stranger):
                self._hang_up(stranger)
                self._daemon.strangers_displaced += 1
                return True
        return False

    def _gone(self, stranger: object) -> bool:
        assert isinstance(stranger, RequestHandler)
        return stranger not in self._arriving and stranger.transport is None

    def _hang_up(self, stranger: object) -> None:
        assert isinstance(stranger, RequestHandler)
        arriving = self._arriving.get(stranger)
        if arriving is not None:
            arriving.cancel()
        elif stranger.transport is not None:
            stranger.transport.abort()

    async def _admit(self, sock: socket.socket, handler: RequestHandler) -> None:
        handshake_s = TLS_HANDSHAKE_S if self._tls is not None else None
        with contextlib.suppress(OSError):  # no TLS, the wrong one, too slow, or gone: its own trouble
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: handler, sock, ssl=self._tls, ssl_handshake_timeout=handshake_s
            )


class _PeerFaults(logging.Filter):
    """Keeps requests that are no HTTP out of the log: anybody can send any number of them, each with a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], http_exceptions.HttpProcessingError))


_PEER_FAULTS = _PeerFaults()


def _http_log() -> logging.Logger:
    """Where the HTTP server tells its own faults."""
    log = logging.getLogger("aiohttp.server")
    log.addFilter(_PEER_FAULTS)
    return log


@contextlib.asynccontextmanager
async def answering(
    application: web.Application,
    sock: socket.socket,
    tls: ssl.SSLContext | None,
    daemon: Daemon,
    *,
    shutdown_s: float,
) -> AsyncIterator[None]:
    """Answer what comes to a bound socket while the block runs; requests under way then get `shutdown_s` to end."""
    runner = web.AppRunner(
        application,
        access_log=None,
        logger=_http_log(),
        handle_signals=False,
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=shutdown_s,
    )
    await runner.setup()
    try:
        if runner.server is None:
            raise OgcastError("the HTTP server did not start")
        listener = Listener(sock, runner.server, tls, daemon, application[STRANGERS])
        listener.start()
        try:
            yield
        finally:
            await listener.close()
    finally:
        await runner.cleanup()
