"""What a session sees of a cast beyond the contract: chunks that come another way, forged packets, figures."""

from __future__ import annotations

import asyncio
import socket
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from core.arena import Arena
from core.errors import PathError
from core.ids import SessionId
from core.wantmap import WantMap
from transports.base import ClientContext, Delivery, Incoming, ServedSession, ServerContext
from transports.conformance.sample import sample_image
from transports.multicast.casting import Casting, Seat
from transports.multicast.client import MulticastClient
from transports.multicast.proto.lane import LaneChange
from transports.multicast.proto.membership import SILENT_S
from transports.multicast.proto.reports import ReportFlags
from transports.multicast.server import MulticastServer

pytestmark = pytest.mark.asyncio

KEY = bytes(32)


async def test_forged_packets_change_nothing_but_a_counter() -> None:
    manifest, store, _ = sample_image(chunks=100)
    server = MulticastServer(
        ServerContext(
            host="127.0.0.1",
            advertise=None,
            interface=None,
            settings={"port": 0, "mode": "asm", "rate_mbit_per_s": 40},
            on_event=lambda name, fields: None,
        )
    )
    await server.start()
    try:
        offer = server.open_session(ServedSession(id=SessionId("s"), key=KEY, manifest=manifest, chunks=store))
        client = MulticastClient(
            ClientContext(
                repository_host="127.0.0.1", interface=None, state_dir=None, on_event=lambda name, fields: None
            )
        )
        want, arena = WantMap(100), Arena(slot_bytes=1 << 18, slots=4)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            forged = bytes([0x11]) + bytes(offer.parameters["symbol_bytes"] + 23)
            target = (offer.parameters["group"], offer.parameters["group_port"])
            report_to = (offer.parameters["source"], offer.parameters["report_port"])
            fetch = client.fetch(offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena)
            async with fetch as incoming:
                async for delivery in incoming:
                    stranger.sendto(forged, target)
                    stranger.sendto(b"\x14" + bytes(200), report_to)
                    want.discard(delivery.chunk)
                    incoming.accept(delivery)
                    delivery.release()
                state = client.state()
        assert state["forged"] > 0
        assert len(want) == 0
        assert server.counters()["reports_refused"] > 0
        assert arena.free == arena.slots
    finally:
        await server.stop(grace_s=1)
        store.close()


async def test_more_can_be_left_to_a_member_that_has_everything() -> None:
    manifest, store, _ = sample_image(chunks=20)
    server = _server({"port": 0, "mode": "asm", "rate_mbit_per_s": 40})
    await server.start()
    try:
        offer = server.open_session(ServedSession(id=SessionId("s"), key=KEY, manifest=manifest, chunks=store))
        want, arena = WantMap(20), Arena(slot_bytes=1 << 18, slots=4)
        want.discard(7)
        fetch = _client().fetch(offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena)
        async with fetch as incoming, asyncio.timeout(30):
            async for delivery in incoming:
                _take(delivery, incoming, want)
            want.add(7)
            async for delivery in incoming:
                assert delivery.chunk == 7
                _take(delivery, incoming, want)
        assert len(want) == 0
        assert arena.free == arena.slots
    finally:
        await server.stop(grace_s=1)
        store.close()


async def test_who_waits_for_more_hears_at_once_that_the_last_chunk_was_good(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, store, _ = sample_image(chunks=3)
    server = _server({"port": 0, "rate_mbit_per_s": 40})
    await server.start()
    try:
        offer = server.open_session(ServedSession(id=SessionId("s"), key=KEY, manifest=manifest, chunks=store))
        want, arena = WantMap(3), Arena(slot_bytes=1 << 18, slots=4)
        fetch = _client().fetch(offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena)
        async with fetch as incoming, asyncio.timeout(30):
            deliveries = [await anext(incoming) for _ in range(3)]
            monkeypatch.setattr("transports.multicast.incoming.TICK_S", 1000.0)
            waiting = asyncio.create_task(anext(incoming, None))
            await asyncio.sleep(0.2)  # the last look of the clock
            for delivery in deliveries:
                assert not waiting.done()
                _take(delivery, incoming, want)
            assert await waiting is None
    finally:
        await server.stop(grace_s=1)
        store.close()


async def test_a_disk_that_stands_still_costs_the_path_nothing() -> None:
    manifest, store, _ = sample_image(chunks=60)
    server = _server({"port": 0, "rate_mbit_per_s": 100})
    await server.start()
    try:
        offer = server.open_session(ServedSession(id=SessionId("s"), key=KEY, manifest=manifest, chunks=store))
        want, arena = WantMap(60), Arena(slot_bytes=1 << 18, slots=4)
        fetch = _client().fetch(offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena)
        async with fetch as incoming:
            held = [await anext(incoming) for _ in range(arena.slots)]
            await asyncio.sleep(SILENT_S + 1.0)  # no memory is left: everything passes by
            for delivery in held:
                _take(delivery, incoming, want)
            async for delivery in incoming:
                _take(delivery, incoming, want)
        assert len(want) == 0
    finally:
        await server.stop(grace_s=1)
        store.close()


async def test_a_group_that_brings_what_is_not_the_image_is_left_for_other_ways() -> None:
    manifest, store, _ = sample_image(chunks=20)
    server = _server({"port": 0, "rate_mbit_per_s": 40})
    await server.start()
    try:
        offer = server.open_session(ServedSession(id=SessionId("s"), key=KEY, manifest=manifest, chunks=store))
        want, arena = WantMap(20), Arena(slot_bytes=1 << 18, slots=4)
        fetch = _client().fetch(offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena)
        async with fetch as incoming, asyncio.timeout(60):
            with pytest.raises(
                PathError, match=r"chunk \d+ as it comes over the group is not the image: rubbish"
            ) as caught:
                await _refuse_all(incoming)
        assert caught.value.again_after_s is None
        assert len(want) == 20
        assert arena.free == arena.slots
    finally:
        await server.stop(grace_s=1)
        store.close()


async def test_the_repository_hears_what_comes_another_way_and_what_does_not_after_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manifest, store, _ = sample_image(chunks=20)
    said: asyncio.Queue[tuple[str, list[int]]] = asyncio.Queue()

    def without(casting: Casting, seat: Seat, chunks: NDArray[np.bool_]) -> None:
        said.put_nowait(("without", np.flatnonzero(chunks).tolist()))

    def again(casting: Casting, seat: Seat, chunks: NDArray[np.bool_]) -> None:
        said.put_nowait(("again", np.flatnonzero(chunks).tolist()))

    monkeypatch.setattr(Casting, "without", without)
    monkeypatch.setattr(Casting, "again", again)
    server = _server({"port": 0, "mode": "asm", "start_clients": 2})  # so that nothing comes meanwhile
    await server.start()
    try:
        offer = server.open_session(ServedSession(id=SessionId("s"), key=KEY, manifest=manifest, chunks=store))
        want, arena = WantMap(20), Arena(slot_bytes=1 << 18, slots=4)
        fetch = _client().fetch(offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena)
        async with fetch, asyncio.timeout(20):
            want.discard(3)
            want.discard(7)
            assert await said.get() == ("without", [3, 7])
            want.add(7)
            assert await said.get() == ("again", [7])
    finally:
        await server.stop(grace_s=1)
        store.close()


async def test_a_whole_image_changes_hands_in_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.multicast.mailbox.CALLS_MAX", 16)
    manifest, store, _ = sample_image(chunks=60)
    server = _server({"port": 0, "mode": "asm", "start_clients": 2})  # so that nothing comes meanwhile
    await server.start()
    try:
        offer = server.open_session(ServedSession(id=SessionId("s"), key=KEY, manifest=manifest, chunks=store))
        want, arena = WantMap(60), Arena(slot_bytes=1 << 18, slots=4)
        fetch = _client().fetch(offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena)
        async with fetch as incoming:
            receiver, goes_on = incoming._receiver, threading.Event()
            receiver.call(lambda reception, now: goes_on.wait(20))  # so that calls have to wait
            for chunk in range(60):
                want.discard(chunk)
            incoming._follow()
            for chunk in range(30, 60):
                want.add(chunk)
            incoming._follow()
            goes_on.set()
            lacking = receiver.call(lambda reception, now: np.flatnonzero(reception._state).tolist())
            assert await asyncio.wrap_future(lacking) == list(range(30, 60))
            assert receiver.calls_refused == 0
    finally:
        await server.stop(grace_s=1)
        store.close()


async def _refuse_all(incoming: Incoming) -> None:
    async for delivery in incoming:
        incoming.reject(delivery, "rubbish")
        delivery.release()


async def test_who_is_served_last_gets_memory_and_says_so_until_it_is_served_as_before() -> None:
    manifest, store, _ = sample_image(chunks=60)
    server = _server({"port": 0, "mode": "asm", "rate_mbit_per_s": 40})
    await server.start()
    try:
        offer = server.open_session(ServedSession(id=SessionId("s"), key=KEY, manifest=manifest, chunks=store))
        want, arena = WantMap(60), Arena(slot_bytes=1 << 18, slots=2)
        fetch = _client().fetch(offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena)
        async with fetch as incoming, asyncio.timeout(60):
            receiver = incoming._receiver
            for lane, patient in (("late", True), ("multicast", False)):
                incoming._hear_change(LaneChange(lane=lane, reason="loses a tenth"))
                said, slots = await asyncio.wrap_future(
                    receiver.call(lambda reception, now: (reception._patience, reception.free_slots))
                )
                assert (ReportFlags.PATIENT in said) is patient
                assert not patient or slots > arena.slots
            async for delivery in incoming:
                _take(delivery, incoming, want)
        assert len(want) == 0
        assert arena.free == arena.slots
    finally:
        await server.stop(grace_s=1)
        store.close()


def _take(delivery: Delivery, incoming: Incoming, want: WantMap) -> None:
    want.discard(delivery.chunk)
    incoming.accept(delivery)
    delivery.release()


def _server(settings: dict[str, object], *, host: str = "127.0.0.1") -> MulticastServer:
    return MulticastServer(
        ServerContext(host=host, advertise=None, interface=None, settings=settings, on_event=lambda name, fields: None)
    )


def _client(host: str = "127.0.0.1") -> MulticastClient:
    return MulticastClient(
        ClientContext(repository_host=host, interface=None, state_dir=None, on_event=lambda name, fields: None)
    )
