"""Lanes of anybody's sessions; test_server.py holds those of unicast against everything that can happen to a lane."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from core.arena import Arena
from core.errors import LockedError
from core.ids import SessionId
from core.wantmap import WantMap
from images.stores import ChunkReader
from transports.base import ClientContext, Offer
from transports.conformance.sample import CHUNK_BYTES, SampleStore, sample_image
from transports.unicast.client import UnicastClient
from transports.unicast.lane import Lane
from transports.unicast.lanes import LaneServer
from transports.unicast.proto.grants import ChunkTable, Grant, LookUp, Store
from transports.unicast.settings import UnicastSettings

pytestmark = pytest.mark.asyncio

KEY = bytes(range(32))


class _Book:
    """One session, of half an image if told so."""

    def __init__(self, image: ChunkTable, store: SampleStore) -> None:
        self._image = image
        self._store = store

    def find(self, session_id: str) -> Grant | None:
        return Grant(key=KEY, image=self._image) if session_id == "s" else None

    def chunks_of(self, session_id: str) -> ChunkReader | None:
        return self._store

    def do_work(self, lane: Lane, work: LookUp | Store) -> None:
        raise AssertionError("there are no captures here")


def _server(book: _Book, events: list[str], **settings: Any) -> LaneServer:
    def note(name: str, fields: Mapping[str, Any]) -> None:
        events.append(name)

    return LaneServer(
        book, host="127.0.0.1", settings=UnicastSettings(port=0, **settings), on_event=note, where="the port"
    )


async def test_whoever_brings_a_book_serves_by_lanes() -> None:
    manifest, store, _ = sample_image(chunks=5)
    events: list[str] = []
    server = _server(_Book(manifest, store), events)
    server.start()
    client = UnicastClient(
        ClientContext(repository_host="127.0.0.1", interface=None, state_dir=None, on_event=lambda *_: None)
    )
    offer = Offer(transport="unicast", parameters={"port": server.port})
    want, arena = WantMap(5), Arena(slot_bytes=CHUNK_BYTES + 65536, slots=2)
    async with client.fetch(
        offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena
    ) as incoming:
        async for delivery in incoming:
            assert server.sent_to("s") is not None  # counted on the lane thread, perhaps a moment later
            want.discard(delivery.chunk)
            incoming.accept(delivery)
            delivery.release()
    await server.stop(grace_s=1)
    await server.stop(grace_s=1)
    assert server.counters()["chunks_sent"] == 5
    assert events == ["lane_opened", "lane_closed"]
    assert server.sent_to("s") is None
    store.close()


async def test_a_session_that_is_broken_ends_its_lanes() -> None:
    manifest, store, _ = sample_image(chunks=1)
    server = _server(_Book(manifest, store), [])
    server.break_session("s", "before anything runs")
    server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await server.stop(grace_s=1)
    async with asyncio.timeout(10):
        await reader.read()
    writer.close()
    store.close()


async def test_a_port_in_use_is_said_with_its_setting() -> None:
    manifest, store, _ = sample_image(chunks=1)
    book = _Book(manifest, store)
    first = _server(book, [])
    first.start()
    second = LaneServer(
        book,
        host="127.0.0.1",
        settings=UnicastSettings(port=first.port),
        on_event=lambda *_: None,
        where="origin_port in [transports.p2p]",
    )
    with pytest.raises(LockedError) as caught:
        second.start()
    assert "origin_port in [transports.p2p]" in (caught.value.hint or "")
    await second.stop(grace_s=0)
    await first.stop(grace_s=0)
    store.close()
