"""Requests of BitTorrent clients: announces, published files, torrents. The secret in the URL is the permission.

The same routes are served over HTTPS on the control port and, where `torrents.http_port` is set, over plain HTTP with
nothing else beside them.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from core.errors import NotFoundError, OgcastError, UsageError
from repod.api.bodies import json_answer
from repod.api.errors import Refusal
from repod.api.routes import STRANGERS, Further, Parameter, Route, daemon_of
from repod.proto.byte_range import requested_range
from repod.tokens import Role
from repod.torrents.paths import ANNOUNCE_PATH, FILE_PATH
from repod.torrents.publications import SECRET_MAX_CHARS, Publication
from repod.torrents.reading import OpenFile

__all__ = ["CLIENT_ROUTES", "ROUTES", "TorrentList"]

WRITE_TIMEOUT_S = 30.0
"""A client that takes no byte for this long is dropped: others wait for its turn."""
TORRENT_TYPE = "application/x-bittorrent"
"""Clients that are given the URL of a torrent know it by this."""


class TorrentList(msgspec.Struct, kw_only=True, frozen=True):
    """GET /v1/torrents."""

    torrents: list[dict[str, Any]]
    """What is published, and how many peers have it, lack some of it, and have finished."""


async def announce(request: web.Request) -> web.StreamResponse:
    """A peer says that it is there and asks for others."""
    # The path as it came: info hashes are bytes, which aiohttp's own query would take for text.
    query = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
    body = daemon_of(request).torrents.announce(_secret(request), query, request.remote or "")
    request.app[STRANGERS].handle_known(request.protocol)
    return web.Response(body=body, content_type="text/plain", headers={"Cache-Control": "no-store"})


async def send_file(request: web.Request) -> web.StreamResponse:
    """The published file or a range of it, or its torrent."""
    service = daemon_of(request).torrents
    publication = service.publication(_secret(request))
    request.app[STRANGERS].handle_known(request.protocol)
    name = request.match_info["file"]
    if name == f"{publication.file_name}.torrent":
        data = await asyncio.to_thread(service.publications.torrent, publication)
        return web.Response(body=data, content_type=TORRENT_TYPE, headers={"Cache-Control": "no-store"})
    if name != publication.file_name:
        raise NotFoundError("there is no such file")
    headers = {"ETag": f'"{publication.info_hash_v2}"', "Accept-Ranges": "bytes"}
    asked = (
        request.headers.get("Range") if request.headers.get("If-Range", headers["ETag"]) == headers["ETag"] else None
    )
    span = requested_range(asked, publication.length)
    if span is None:
        headers["Content-Range"] = f"bytes */{publication.length}"
        beyond = UsageError(f"the file has {publication.length} bytes")
        raise Refusal(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, beyond, headers)
    response = web.StreamResponse(headers={**headers, "Content-Type": "application/octet-stream"})
    response.content_length = span[1] - span[0]
    if span != (0, publication.length):
        response.set_status(HTTPStatus.PARTIAL_CONTENT)
        response.headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{publication.length}"
    if request.method == "HEAD":
        return response
    async with service.download(publication, request.remote or "") as opened:
        await _send(request, response, opened, publication, span)
    return response


async def send_head(request: web.Request) -> web.StreamResponse:
    """How long the published file is."""
    return await send_file(request)


async def list_torrents(request: web.Request) -> web.StreamResponse:
    """What is published."""
    return json_answer(TorrentList(torrents=daemon_of(request).torrents.overview()))


async def _send(
    request: web.Request,
    response: web.StreamResponse,
    opened: OpenFile,
    publication: Publication,
    span: tuple[int, int],
) -> None:
    """The bytes of a file. Once some are out there is no other answer to an error than to break off."""
    daemon = daemon_of(request)
    async with aclosing(daemon.torrents.parts(opened, *span)) as parts:
        first = await anext(parts)  # what fails at once is answered properly
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await response.prepare(request)
                await response.write(first)
            async for part in parts:
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await response.write(part)
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await response.write_eof()
        except (OgcastError, TimeoutError) as error:
            if isinstance(error, OgcastError):
                daemon.telling.tell("error", torrent=publication.id, error=type(error).__name__, message=str(error))
            if request.transport is not None:
                request.transport.abort()


def _secret(request: web.Request) -> str:
    secret = request.match_info["secret"]
    if len(secret) > SECRET_MAX_CHARS:
        raise NotFoundError("there is no such torrent")
    return secret


_RANGES = (
    Parameter(name="Range", place="header", text="A single range, `bytes=FIRST-LAST`"),
    Parameter(name="If-Range", place="header", text="ETag: the whole file is sent if it is another one"),
)
_PART = Further(
    status=HTTPStatus.PARTIAL_CONTENT, text="The range that was asked for", media="application/octet-stream"
)
_TORRENT = Further(status=HTTPStatus.OK, text="The torrent", media=TORRENT_TYPE)
_ANNOUNCE = (
    Parameter(name="info_hash", place="query", text="20 bytes, one of the torrent's", required=True),
    Parameter(name="peer_id", place="query", text="20 bytes", required=True),
    Parameter(name="port", place="query", text="1 to 65535", required=True),
    Parameter(name="left", place="query", text="Bytes that are lacking"),
    Parameter(name="event", place="query", text="started, completed or stopped"),
    Parameter(name="numwant", place="query", text="Peers to be told, at most 100; 50 if not given"),
    Parameter(name="compact", place="query", text="1: peers as strings of bytes; else as a list"),
)

CLIENT_ROUTES = (
    Route(
        method="GET",
        path=ANNOUNCE_PATH,
        handler=announce,
        summary="Tracker of a published torrent (BEP 3, 7, 23); its answer is bencoded, a refusal too",
        role=None,
        media="text/plain",
        errors=(404,),
        parameters=_ANNOUNCE,
    ),
    Route(
        method="GET",
        path=FILE_PATH,
        handler=send_file,
        summary="Web seed (BEP 19): the published file or a range of it; with .torrent behind its name the torrent",
        role=None,
        media="application/octet-stream",
        errors=(404, 409, 416, 503),
        further=(_TORRENT, _PART),
        parameters=_RANGES,
        timeout_s=None,
    ),
    Route(
        method="HEAD",
        path=FILE_PATH,
        handler=send_head,
        summary="Length of the published file",
        role=None,
        media="application/octet-stream",
        errors=(404, 416),
        further=(_TORRENT, _PART),
        parameters=_RANGES,
    ),
)
ROUTES = (
    Route(
        method="GET",
        path="/torrents",
        handler=list_torrents,
        summary="Published torrents and their swarms",
        role=Role.OPERATOR,
        answer=TorrentList,
    ),
)
