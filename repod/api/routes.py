"""The table of routes: what answers which request, for whom, with which bodies. The OpenAPI text is made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from core.callers import Callers
from repod.daemon import Daemon
from repod.tokens import Role, Token

__all__ = ["DAEMON", "STRANGERS", "TOKEN", "Further", "Handler", "Parameter", "Route", "daemon_of", "shown_path"]

PATH_MAX_CHARS = 2048
_WITH_SECRET = ("/announce/", "/torrents/")

DAEMON = web.AppKey("daemon", Daemon)
STRANGERS = web.AppKey("strangers", Callers[object])
"""Connections to this application that have shown neither a token nor the secret of a torrent."""
TOKEN: ContextVar[Token] = ContextVar("ogcast.token")
"""The checked token of the request that this task answers."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Something a request may carry beside its path and body."""

    name: str
    place: str
    """`query` or `header`."""
    text: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Further:
    """Another answer of a route than its usual one and its errors."""

    status: HTTPStatus
    text: str
    media: str | None = None
    """Content type; None: without a body."""
    answer: Any = None
    """Type of a JSON answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One request that is answered."""

    method: str
    path: str
    handler: Handler
    summary: str
    role: Role | None = Role.CLIENT
    """Who may ask; None: anybody."""
    request: Any = None
    """Type of the JSON body."""
    answer: Any = None
    """Type of the JSON answer."""
    media: str = "application/json"
    """Content type of the answer."""
    body_media: str = "application/json"
    """Content type of the request's body, where it has one."""
    status: HTTPStatus = HTTPStatus.OK
    errors: tuple[int, ...] = ()
    """Further status codes this route answers with an ErrorBody."""
    further: tuple[Further, ...] = ()
    """Answers beside these."""
    parameters: tuple[Parameter, ...] = ()
    timeout_s: float | None = 60.0
    """Time for the whole answer; None for streams."""


def daemon_of(request: web.Request) -> Daemon:
    """The daemon behind a request."""
    return request.app[DAEMON]


def shown_path(request: web.Request) -> str:
    """The path as logs and events may show it: without the secret of a torrent, and not too long."""
    path = request.path
    for start in _WITH_SECRET:
        if path.startswith(start):
            return f"{start}…"
    return path[:PATH_MAX_CHARS]
