"""Requests about captures: a client uploads an image."""

from __future__ import annotations

import contextlib
from http import HTTPStatus

from aiohttp import web

from core.ids import SessionId
from repod.api.bodies import json_answer, read_body, read_json
from repod.api.routes import TOKEN, Route, daemon_of
from repod.proto.capture_table import CaptureOwner
from transports.control import CaptureCommitted, CaptureOpened, CaptureRequest

__all__ = ["ROUTES"]

LARGE_MANIFEST_BYTES = 8 << 20
"""Two hundred thousand chunks: 800 GiB of data at the default chunk size."""
MANIFEST_TIMEOUT_S = 300.0
"""Time for the upload of a manifest."""


async def open_capture(request: web.Request) -> web.StreamResponse:
    """Take the exclusive lock on a name."""
    daemon = daemon_of(request)
    asked = await read_json(request, CaptureRequest, limit=daemon.settings.limits.body_bytes)
    owner = CaptureOwner(host=asked.host, address=request.remote or "", token=TOKEN.get().id)
    return json_answer(await daemon.captures.open(asked, owner=owner), status=HTTPStatus.CREATED)


async def commit_capture(request: web.Request) -> web.StreamResponse:
    """Publish what was uploaded."""
    daemon = daemon_of(request)
    capture_id = _id(request)
    daemon.captures.table.get(capture_id)  # refuse before reading a large body
    length = request.content_length
    is_large = length is None or length > LARGE_MANIFEST_BYTES
    async with daemon.large_manifests if is_large else contextlib.nullcontext(), daemon.manifests:
        manifest = await read_body(request, limit=daemon.settings.limits.manifest_bytes, timeout_s=MANIFEST_TIMEOUT_S)
        return json_answer(await daemon.captures.commit(capture_id, manifest), status=HTTPStatus.CREATED)


async def release_capture(request: web.Request) -> web.StreamResponse:
    """Give the lock back."""
    await daemon_of(request).captures.release(_id(request), "closed by the client")
    return web.Response(status=HTTPStatus.NO_CONTENT)


def _id(request: web.Request) -> SessionId:
    return SessionId(request.match_info["id"])


ROUTES = (
    Route(
        method="POST",
        path="/captures",
        handler=open_capture,
        summary="Take the exclusive lock on a name to upload a version of it",
        request=CaptureRequest,
        answer=CaptureOpened,
        status=HTTPStatus.CREATED,
        errors=(400, 413, 423, 503, 507),
    ),
    Route(
        method="PUT",
        path="/captures/{id}/manifest",
        handler=commit_capture,
        summary="Publish the uploaded image: the body is its unsigned manifest",
        request=bytes,
        body_media="application/octet-stream",
        answer=CaptureCommitted,
        status=HTTPStatus.CREATED,
        errors=(400, 404, 408, 409, 413, 423, 507),
        timeout_s=None,
    ),
    Route(
        method="DELETE",
        path="/captures/{id}",
        handler=release_capture,
        summary="Give the lock back; what was uploaded stays until gc",
        status=HTTPStatus.NO_CONTENT,
        errors=(423,),
    ),
)
