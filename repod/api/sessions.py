"""Requests about sessions: a client takes an image."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from core.ids import SessionId
from repod.api.bodies import json_answer, read_json
from repod.api.routes import Route, daemon_of
from repod.tokens import Role
from transports.control import SessionAdvice, SessionOpened, SessionReport, SessionRequest

__all__ = ["ROUTES", "SessionList"]


class SessionList(msgspec.Struct, kw_only=True, frozen=True):
    """GET /v1/sessions: one map a session, for people and dashboards; fields may be added."""

    sessions: list[dict[str, Any]]


async def open_session(request: web.Request) -> web.StreamResponse:
    """Open a session: pins the image and answers where to take it."""
    daemon = daemon_of(request)
    asked = await read_json(request, SessionRequest, limit=daemon.settings.limits.body_bytes)
    opened = await daemon.sessions.open(asked, address=request.remote or "")
    return json_answer(opened, status=HTTPStatus.CREATED)


async def report(request: web.Request) -> web.StreamResponse:
    """A client says where it stands."""
    daemon = daemon_of(request)
    message = await read_json(request, SessionReport, limit=daemon.settings.limits.body_bytes)
    return json_answer(daemon.sessions.report(_id(request), message))


async def close_session(request: web.Request) -> web.StreamResponse:
    """A client is done, or gives up."""
    daemon_of(request).sessions.close(_id(request), "closed by the client")
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def list_sessions(request: web.Request) -> web.StreamResponse:
    """What runs."""
    return json_answer(SessionList(sessions=daemon_of(request).sessions.overview()))


def _id(request: web.Request) -> SessionId:
    return SessionId(request.match_info["id"])


ROUTES = (
    Route(
        method="POST",
        path="/sessions",
        handler=open_session,
        summary="Open a session to take an image",
        request=SessionRequest,
        answer=SessionOpened,
        status=HTTPStatus.CREATED,
        errors=(400, 404, 413, 503),
    ),
    Route(
        method="POST",
        path="/sessions/{id}/reports",
        handler=report,
        summary="Say where a session stands; state done or failed ends it",
        request=SessionReport,
        answer=SessionAdvice,
        errors=(400, 404, 413),
    ),
    Route(
        method="DELETE",
        path="/sessions/{id}",
        handler=close_session,
        summary="End a session; repeating is harmless",
        status=HTTPStatus.NO_CONTENT,
    ),
    Route(
        method="GET",
        path="/sessions",
        handler=list_sessions,
        summary="Running sessions with their last reports",
        role=Role.OPERATOR,
        answer=SessionList,
    ),
)
