"""The aiohttp application: routes behind authorisation, timeouts, error answers and request logs."""

from __future__ import annotations

import asyncio
import functools
import time
from dataclasses import replace
from http import HTTPStatus

import msgspec
from aiohttp import web

from core.callers import Callers
from core.logs import get_logger
from repod.api import captures, events, health, images, sessions, torrents
from repod.api.auth import authorise
from repod.api.errors import answer_errors
from repod.api.openapi import describe
from repod.api.routes import DAEMON, STRANGERS, Handler, Route, shown_path
from repod.daemon import Daemon
from repod.metrics import Metrics
from transports.control import API_PREFIX

__all__ = ["all_routes", "make_application", "make_torrent_application"]


def all_routes() -> list[Route]:
    """Every route with its final path, but the description of them all."""
    versioned = (*images.ROUTES, *sessions.ROUTES, *captures.ROUTES, *events.ROUTES, *torrents.ROUTES)
    prefixed = (replace(route, path=API_PREFIX + route.path) for route in versioned)
    return [*health.ROUTES, *prefixed, *torrents.CLIENT_ROUTES]


def make_application(daemon: Daemon) -> web.Application:
    """The application serving `daemon`; it owns nothing that must be closed."""
    application = web.Application(middlewares=[log_requests, answer_errors])
    application[DAEMON] = daemon
    application[STRANGERS] = Callers()
    application[health.METRICS] = Metrics(daemon)
    routes = all_routes()
    routes.append(_openapi_route(routes))
    for route in routes:
        application.router.add_route(route.method, route.path, _guarded(route))
    return application


def make_torrent_application(daemon: Daemon) -> web.Application:
    """What plain HTTP serves: the requests of BitTorrent clients, and nothing that a token guards."""
    application = web.Application(middlewares=[log_requests, answer_errors])
    application[DAEMON] = daemon
    application[STRANGERS] = Callers()
    for route in torrents.CLIENT_ROUTES:
        application.router.add_route(route.method, route.path, _guarded(route))
    return application


def _guarded(route: Route) -> Handler:
    @functools.wraps(route.handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        if route.role is not None:
            authorise(request, route.role)
        async with asyncio.timeout(route.timeout_s):
            return await route.handler(request)

    return handle


def _openapi_route(routes: list[Route]) -> Route:
    async def openapi(request: web.Request) -> web.StreamResponse:
        """This description."""
        return web.Response(body=text, content_type="application/json")

    route = Route(
        method="GET", path=f"{API_PREFIX}/openapi.json", handler=openapi, summary="This description", role=None
    )
    text = msgspec.json.encode(describe([*routes, route]))
    return route


@web.middleware
async def log_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line a request: changes and refusals for everybody, the rest for those who debug."""
    started = time.monotonic()
    response = await handler(request)
    log = get_logger("repod.api")
    interesting = response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    (log.warning if interesting else log.debug)(
        "request",
        method=request.method,
        path=shown_path(request),
        status=response.status,
        address=request.remote,
        seconds=round(time.monotonic() - started, 4),
    )
    return response
