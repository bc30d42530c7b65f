"""Lanes over real sockets: turns, clients that stop reading, cuts at every frame by a proxy in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from core.arena import Arena
from core.errors import ChunkError, ConnectionFailedError, RepositoryTroubleError, TransferError
from core.ids import ChunkIndex, Digest
from core.wantmap import WantMap
from images.stores import StoredChunk
from transports.base import ClientContext, Offer
from transports.conformance.sample import CHUNK_BYTES
from transports.conformance.scene import KEY, SESSION, Rig, Scene, serving, take_all
from transports.unicast.client import UnicastClient
from transports.unicast.proto.frames import HEADER_BYTES, Header
from transports.unicast.server import UnicastServer

RIG = Rig(server=UnicastServer, client=UnicastClient, settings={"port": 0})


class CuttingProxy:
    """Passes whole frames on in both directions and cuts both sides before the `cut`-th frame of one of them."""

    def __init__(self, port: int, direction: str, cut: int) -> None:
        self._port = port
        self._left = {"up": -1, "down": -1} | {direction: cut}
        self._served: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._served:
                await task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._served.append(asyncio.current_task())  # type: ignore[arg-type]
        upstream, down = await asyncio.open_connection("127.0.0.1", self._port)
        ways = [
            asyncio.ensure_future(self._pass("up", reader, down)),
            asyncio.ensure_future(self._pass("down", upstream, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for end in (down, writer):
            end.transport.abort()
            with contextlib.suppress(OSError):
                await end.wait_closed()

    async def _pass(self, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while self._left[direction]:
                self._left[direction] -= 1
                header = await reader.readexactly(HEADER_BYTES)
                writer.write(header + await reader.readexactly(Header.parse(header).length))
                await writer.drain()


async def _through(scene: Scene, port: int, want: WantMap, arena: Arena) -> list[int]:
    taken: list[int] = []
    offer = Offer(transport="unicast", parameters={"host": "127.0.0.1", "port": port})
    fetched = scene.client.fetch(offer, session_id=SESSION, key=KEY, manifest=scene.manifest, want=want, arena=arena)
    with contextlib.suppress(ConnectionFailedError):
        async with fetched as incoming:
            taken += await take_all(scene, incoming, want)
    return taken


@pytest.mark.asyncio
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_connection_cut_at_any_frame_loses_nothing(direction: str) -> None:
    async with serving(RIG, chunks=8) as scene:
        for cut in range(12):
            want, arena = WantMap(8), Arena(slot_bytes=CHUNK_BYTES, slots=2)
            async with CuttingProxy(scene.offer.parameters["port"], direction, cut).listen() as port:
                await _through(scene, port, want, arena)
            assert arena.free == arena.slots
            await _through(scene, scene.offer.parameters["port"], want, arena)
            assert len(want) == 0
            assert arena.free == arena.slots


@pytest.mark.asyncio
async def test_lanes_that_share_one_turn_all_get_through() -> None:
    rig = Rig(server=UnicastServer, client=UnicastClient, settings={"port": 0, "lanes_at_once": 1})
    async with serving(rig, chunks=60) as scene:

        async def one() -> int:
            want, arena = WantMap(60), Arena(slot_bytes=CHUNK_BYTES, slots=4)
            async with scene.fetch(want, arena) as incoming:
                return len(await take_all(scene, incoming, want))

        assert await asyncio.gather(*(one() for _ in range(5))) == [60] * 5


@pytest.mark.asyncio
async def test_a_client_that_stops_reading_is_dropped_and_others_go_on() -> None:
    settings = {"port": 0, "lanes_at_once": 1, "write_timeout_s": 0.2}
    rig = Rig(server=UnicastServer, client=UnicastClient, settings=settings)
    async with serving(rig, chunks=400) as scene:
        context = ClientContext(repository_host="", interface=None, state_dir=None, on_event=lambda name, fields: None)
        stuck_arena = Arena(slot_bytes=CHUNK_BYTES, slots=400)
        fetched = UnicastClient(context).fetch(
            scene.offer, session_id=SESSION, key=KEY, manifest=scene.manifest, want=WantMap(400), arena=stuck_arena
        )
        async with fetched as stuck:
            (await anext(stuck)).release()
            assert stuck._transport is not None  # type: ignore[attr-defined]
            stuck._transport.pause_reading()  # type: ignore[attr-defined]
            want, arena = WantMap(400), Arena(slot_bytes=CHUNK_BYTES, slots=4)
            async with scene.fetch(want, arena) as incoming:
                assert len(await take_all(scene, incoming, want)) == 400
            while not scene.server.counters()["timeouts"]:  # noqa: ASYNC110 - another thread counts
                await asyncio.sleep(0.005)
            assert scene.server.counters()["turns_waited"] > 0
        assert stuck_arena.free == stuck_arena.slots


@pytest.mark.asyncio
async def test_a_chunk_that_cannot_be_had_is_named_once() -> None:
    async with serving(RIG, chunks=8) as scene:
        scene.store.lose(scene.manifest.digest(ChunkIndex(3)))
        want, arena = WantMap(8), Arena(slot_bytes=CHUNK_BYTES, slots=2)
        with pytest.raises(ChunkError, match=r"repository; chunk 3: no chunk [0-9a-f]{16}$"):
            async with scene.fetch(want, arena) as incoming:
                await take_all(scene, incoming, want)
        assert list(want) == [3]


@pytest.mark.asyncio
async def test_trouble_of_the_disk_ends_the_lane_and_condemns_no_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(RIG, chunks=8) as scene:
        locate, in_trouble = scene.store.locate, [scene.manifest.digest(ChunkIndex(3))]

        def stumbling(digest: Digest) -> StoredChunk:
            if digest in in_trouble:
                raise RepositoryTroubleError("pack 1 cannot be opened: Too many open files")
            return locate(digest)

        monkeypatch.setattr(scene.store, "locate", stumbling)
        want, arena = WantMap(8), Arena(slot_bytes=CHUNK_BYTES, slots=2)
        with pytest.raises(TransferError, match="chunk 3: pack 1 cannot be opened"):
            async with scene.fetch(want, arena) as incoming:
                await take_all(scene, incoming, want)
        assert 3 in want
        assert scene.server.counters()["disk_troubles"] == 1
        in_trouble.clear()
        async with scene.fetch(want, arena) as incoming:
            await take_all(scene, incoming, want)
        assert len(want) == 0
