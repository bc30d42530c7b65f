"""Requests about images."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from core.ids import ImageRef
from repod.api.bodies import json_answer
from repod.api.routes import TOKEN, Further, Parameter, Route, daemon_of
from repod.daemon import Daemon
from repod.tokens import Role
from repod.torrents.publications import Publications
from transports.control import ImageInfo, ImageList

__all__ = ["ROUTES"]

SEND_BYTES = 256 * 1024
"""A manifest is sent in pieces of this size, so that many clients cost little memory."""


async def list_images(request: web.Request) -> web.StreamResponse:
    """All images."""
    return json_answer(ImageList(images=await daemon_of(request).catalogue.images()))


async def show_image(request: web.Request) -> web.StreamResponse:
    """One image."""
    return json_answer(await daemon_of(request).catalogue.info(_ref(request)))


async def send_manifest(request: web.Request) -> web.StreamResponse:
    """The signed manifest as it is stored; its ETag is the root digest."""
    pin = await daemon_of(request).catalogue.pin(_ref(request))
    try:
        etag = f'"{pin.manifest.root.hex()}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
        response = web.StreamResponse(headers={"ETag": etag, "Content-Type": "application/octet-stream"})
        response.content_length = len(pin.data)
        await response.prepare(request)
        if request.method != "HEAD":
            view = memoryview(pin.data)
            for at in range(0, len(view), SEND_BYTES):
                await response.write(view[at : at + SEND_BYTES])
        await response.write_eof()
        return response
    finally:
        pin.release()


async def remove_image(request: web.Request) -> web.StreamResponse:
    """Remove a version, or the newest one; running sessions end undisturbed."""
    daemon = daemon_of(request)
    ref = (await asyncio.to_thread(daemon.catalogue.repository.find, _ref(request))).ref
    await asyncio.to_thread(_remove_unpublished, daemon, ref)
    daemon.telling.tell("image_removed", image=str(ref), token=TOKEN.get().id)
    return web.Response(status=HTTPStatus.NO_CONTENT)


def _remove_unpublished(daemon: Daemon, ref: ImageRef) -> None:
    """Remove a version unless it is published as a torrent (LockedError). Blocks on the disk."""
    with Publications(daemon.layout).unpublished([ref]):
        daemon.catalogue.repository.remove(ref)


def _ref(request: web.Request) -> ImageRef:
    return ImageRef.parse(request.match_info["ref"])


ROUTES = (
    Route(method="GET", path="/images", handler=list_images, summary="All images", answer=ImageList),
    Route(
        method="GET", path="/images/{ref}", handler=show_image, summary="One image", answer=ImageInfo, errors=(400, 404)
    ),
    Route(
        method="GET",
        path="/images/{ref}/manifest",
        handler=send_manifest,
        summary="The signed manifest of an image; its ETag is the root digest",
        media="application/octet-stream",
        errors=(400, 404),
        further=(Further(status=HTTPStatus.NOT_MODIFIED, text="The client has this manifest"),),
        parameters=(Parameter(name="If-None-Match", place="header", text="ETag of the manifest the client has"),),
        timeout_s=None,
    ),
    Route(
        method="DELETE",
        path="/images/{ref}",
        handler=remove_image,
        summary="Remove an image version",
        role=Role.OPERATOR,
        status=HTTPStatus.NO_CONTENT,
        errors=(400, 404, 423),
    ),
)
