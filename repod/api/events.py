"""The event stream: server-sent events, bounded by the reader's queue."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import msgspec
from aiohttp import web

from repod.api.routes import Route, daemon_of
from repod.events import Event
from repod.tokens import Role

__all__ = ["ROUTES"]

HEARTBEAT_S = 15.0
"""A comment line this often tells both ends that the other still lives."""


async def stream_events(request: web.Request) -> web.StreamResponse:
    """Everything that happens from now on. `events_dropped` says how many a slow reader missed."""
    daemon = daemon_of(request)
    with daemon.events.subscribe() as subscription:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        await response.write(b": ogcast\n\n")
        while not subscription.finished:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    dropped, events = await subscription.take()
            except TimeoutError:
                await response.write(b": alive\n\n")
                continue
            if dropped:
                await response.write(_message("events_dropped", None, {"count": dropped}))
            for event in events:
                await response.write(_encode(event))
        await response.write_eof()
        return response


def _encode(event: Event) -> bytes:
    return _message(event.name, event.number, {"time": event.time, **event.fields})


def _message(name: str, number: int | None, data: object) -> bytes:
    head = f"event: {name}\n" if number is None else f"event: {name}\nid: {number}\n"
    return head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


ROUTES = (
    Route(
        method="GET",
        path="/events",
        handler=stream_events,
        summary="Session, capture, image and error events as they happen (server-sent events)",
        role=Role.OPERATOR,
        media="text/event-stream",
        status=HTTPStatus.OK,
        errors=(503,),
        timeout_s=None,
    ),
)
