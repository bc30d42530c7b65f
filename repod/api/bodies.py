"""Reading and writing bodies: bounded, timed, typed."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from core.errors import UsageError
from repod.api.errors import Refusal

__all__ = ["decode_message", "json_answer", "read_body", "read_json"]

BODY_TIMEOUT_S = 30.0
"""A client that sends its body slower than this is not a client."""

T = TypeVar("T")


async def read_body(request: web.Request, *, limit: int, timeout_s: float = BODY_TIMEOUT_S) -> bytes:
    """The whole body, at most `limit` bytes of it. Refusal with 413 or 408."""
    if request.content_length is not None and request.content_length > limit:
        raise _too_large(limit)
    data = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for piece in request.content.iter_any():
                data += piece
                if len(data) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, UsageError("the request's body did not arrive in time")) from None
    return bytes(data)


async def read_json(request: web.Request, kind: type[T], *, limit: int) -> T:
    """The body as one message. UsageError if it is none."""
    return decode_message(await read_body(request, limit=limit), kind)


def decode_message(data: bytes, kind: type[T]) -> T:
    """One JSON message. UsageError for anything else."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise UsageError(f"malformed {kind.__name__}: {error}") from None
    except (UnicodeDecodeError, RecursionError):
        raise UsageError(f"malformed {kind.__name__}") from None


def json_answer(value: Any, *, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """A message as the answer."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


def _too_large(limit: int) -> Refusal:
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, UsageError(f"a body of this request has at most {limit} bytes"))
