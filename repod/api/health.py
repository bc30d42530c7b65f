"""Requests that watch the daemon: is it well, and its metrics."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from aiohttp import web

from repod.api.auth import authorise, from_this_machine
from repod.api.bodies import json_answer
from repod.api.routes import Further, Route, daemon_of
from repod.metrics import CONTENT_TYPE, Metrics
from repod.tokens import Role

__all__ = ["METRICS", "ROUTES", "Health"]

METRICS = web.AppKey("metrics", Metrics)


class Health(msgspec.Struct, kw_only=True, frozen=True):
    """GET /healthz."""

    status: str
    """`ok`, or `stopping` with status 503."""


async def health(request: web.Request) -> web.StreamResponse:
    """Whether clients are accepted."""
    if daemon_of(request).stopping:
        return json_answer(Health(status="stopping"), status=HTTPStatus.SERVICE_UNAVAILABLE)
    return json_answer(Health(status="ok"))


async def metrics(request: web.Request) -> web.StreamResponse:
    """Prometheus metrics, for this machine without a token."""
    if not from_this_machine(request):
        authorise(request, Role.CLIENT)
    return web.Response(body=request.app[METRICS].text(), headers={"Content-Type": CONTENT_TYPE})


ROUTES = (
    Route(
        method="GET",
        path="/healthz",
        handler=health,
        summary="Whether clients are accepted; 503 while stopping",
        role=None,
        answer=Health,
        further=(
            Further(status=HTTPStatus.SERVICE_UNAVAILABLE, text="Stopping", media="application/json", answer=Health),
        ),
    ),
    Route(
        method="GET",
        path="/metrics",
        handler=metrics,
        summary="Prometheus metrics; other machines need a token",
        role=None,
        media="text/plain",
        errors=(401,),
    ),
)
