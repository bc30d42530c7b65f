"""Errors as answers: every status of 400 and above carries an ErrorBody, and none ends the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from core.errors import (
    AuthenticationError,
    BusyError,
    CaptureError,
    ImageError,
    LockedError,
    ManifestError,
    NotFoundError,
    OgcastError,
    RepositoryFullError,
    UsageError,
)
from core.logs import get_logger
from repod.api.routes import Handler, daemon_of, shown_path
from transports.control import ErrorBody

__all__ = ["RETRY_AFTER_S", "Refusal", "answer_errors", "error_response", "status_of"]

RETRY_AFTER_S = 5
"""What a client is told to wait when a limit is reached."""

_STATUS: tuple[tuple[type[OgcastError], HTTPStatus], ...] = (
    (UsageError, HTTPStatus.BAD_REQUEST),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (LockedError, HTTPStatus.LOCKED),
    (BusyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (AuthenticationError, HTTPStatus.UNAUTHORIZED),
    (RepositoryFullError, HTTPStatus.INSUFFICIENT_STORAGE),
    (ManifestError, HTTPStatus.BAD_REQUEST),
    (ImageError, HTTPStatus.CONFLICT),
    (CaptureError, HTTPStatus.CONFLICT),
)
"""The first class that fits decides."""


class Refusal(Exception):
    """An error whose status does not follow from its class."""

    def __init__(self, status: HTTPStatus, error: OgcastError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = dict(headers or {})


def status_of(error: OgcastError) -> HTTPStatus:
    """The status an error is answered with."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def error_response(error: OgcastError, *, status: HTTPStatus | None = None) -> web.Response:
    """The answer to an error."""
    status = status_of(error) if status is None else status
    body = ErrorBody(error=type(error).__name__, message=error.message, hint=error.hint, code=error.exit_code)
    response = web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into an answer."""
    try:
        return await handler(request)
    except OgcastError as error:
        if status_of(error) is HTTPStatus.INTERNAL_SERVER_ERROR:
            daemon_of(request).telling.tell(
                "error", path=shown_path(request), error=type(error).__name__, message=str(error)
            )
        return error_response(error)
    except Refusal as refusal:
        response = error_response(refusal.error, status=refusal.status)
        response.headers.update(refusal.headers)
        return response
    except web.HTTPException as error:
        kind = NotFoundError if error.status == HTTPStatus.NOT_FOUND else UsageError
        response = error_response(
            kind(f"{request.method} {request.path}: {error.reason}"), status=HTTPStatus(error.status)
        )
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except asyncio.CancelledError:
        raise
    except ConnectionError:
        # The client hung up while it was answered, which is no fault to log; nobody hears this.
        return error_response(UsageError("the connection was closed before the answer"))
    except TimeoutError:
        return error_response(BusyError("the repository took too long to answer", hint="try again later"))
    except Exception as error:
        get_logger("repod.api").exception("request failed", path=shown_path(request))
        daemon_of(request).telling.tell(
            "error", path=shown_path(request), error=type(error).__name__, message="internal error"
        )
        return error_response(OgcastError("internal error", hint="the repository's log says more"))
