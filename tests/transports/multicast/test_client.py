"""The client half where it refuses to begin; what it does afterwards is in tests/contract/test_multicast.py."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from core.arena import Arena
from core.errors import ConnectionFailedError, LocalError, PathError, ProtocolError
from core.ids import SessionId
from core.wantmap import WantMap
from transports.base import ClientContext, Offer, ServedSession, ServerContext
from transports.conformance.sample import sample_image
from transports.member.calling import UNHEARD_S
from transports.multicast.client import MulticastClient
from transports.multicast.server import MulticastServer
from transports.multicast.udp.incoming import GroupReceiver

pytestmark = pytest.mark.asyncio

KEY = bytes(32)


def _client(
    interface: str | None = None, on_event: Callable[[str, Mapping[str, Any]], None] = lambda name, fields: None
) -> MulticastClient:
    return MulticastClient(
        ClientContext(repository_host="127.0.0.1", interface=interface, state_dir=None, on_event=on_event)
    )


async def test_an_interface_that_is_not_there_makes_the_path_unusable_not_the_session() -> None:
    manifest, store, _ = sample_image()
    server = MulticastServer(
        ServerContext(
            host="127.0.0.1", advertise=None, interface=None, settings={"port": 0}, on_event=lambda name, fields: None
        )
    )
    await server.start()
    try:
        offer = server.open_session(ServedSession(id=SessionId("s"), key=KEY, manifest=manifest, chunks=store))
        arena, want = Arena(slot_bytes=1 << 18, slots=2), WantMap(manifest.chunk_count)
        client = _client("nowhere0")
        assert client.state() == {}
        fetch = client.fetch(offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena)
        with pytest.raises(PathError, match="nowhere0"):
            async with fetch:
                pass
        assert arena.free == arena.slots
        fetch = _client().fetch(offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena)
        async with fetch as incoming:
            state = incoming.state()
            assert state["network_loss"] == 0
            wire = incoming._lane._writer.get_extra_info("socket")
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNHEARD_S * 1000
    finally:
        await server.stop(grace_s=1)
        store.close()


async def test_what_the_cast_has_instead_of_what_was_wished_is_told_once() -> None:
    manifest, store, _ = sample_image()
    server = MulticastServer(
        ServerContext(
            host="127.0.0.1", advertise=None, interface=None, settings={"port": 0}, on_event=lambda name, fields: None
        )
    )
    await server.start()
    told: list[str] = []
    client = _client(on_event=lambda name, fields: told.append(fields["message"]) if name == "notice" else None)
    try:
        server.open_session(ServedSession(id=SessionId("s"), key=KEY, manifest=manifest, chunks=store))
        wish = "9002:full-duplex:239.194.17.36:20M:1:0"
        late = ServedSession(id=SessionId("t"), key=KEY, manifest=manifest, chunks=store, options=wish)
        offer = server.open_session(late)
        for _ in range(2):
            arena, want = Arena(slot_bytes=1 << 18, slots=2), WantMap(manifest.chunk_count)
            async with client.fetch(
                offer, session_id=SessionId("t"), key=KEY, manifest=manifest, want=want, arena=arena
            ):
                pass
        (notice,) = told
        assert f"the cast has group {offer.parameters['group']}" in notice
        assert "Mbit/s, another start, whatever the option string says" in notice
    finally:
        await server.stop(grace_s=1)
        store.close()


@pytest.mark.parametrize("trouble", ["no route to the sender", "no way for reports"])
async def test_who_cannot_join_leaves_neither_a_lane_nor_a_membership_behind(
    monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    manifest, store, _ = sample_image()
    hung_up = asyncio.Event()
    sockets: list[GroupReceiver] = []

    def hear(name: str, fields: Mapping[str, Any]) -> None:
        if name == "lane_closed":
            hung_up.set()

    def joined(*arguments: Any) -> GroupReceiver:
        sockets.append(GroupReceiver(*arguments))
        return sockets[-1]

    def no_way(address: tuple[str, int]) -> None:
        raise LocalError(f"cannot send reports to {address[0]}")

    server = MulticastServer(
        ServerContext(host="127.0.0.1", advertise=None, interface=None, settings={"port": 0}, on_event=hear)
    )
    await server.start()
    try:
        offer = server.open_session(ServedSession(id=SessionId("s"), key=KEY, manifest=manifest, chunks=store))
        monkeypatch.setattr("transports.multicast.client.GroupReceiver", joined)
        if trouble == "no route to the sender":
            monkeypatch.setattr("transports.multicast.client.interface_towards", lambda address: None)
        else:
            monkeypatch.setattr("transports.multicast.receiver._report_socket", no_way)
        arena, want = Arena(slot_bytes=1 << 18, slots=2), WantMap(manifest.chunk_count)
        fetch = _client().fetch(offer, session_id=SessionId("s"), key=KEY, manifest=manifest, want=want, arena=arena)
        with pytest.raises(PathError, match=r"no route|cannot send reports"):
            async with fetch:
                pass
        await asyncio.wait_for(hung_up.wait(), 5)
        assert [sock.fileno() for sock in sockets] == ([] if trouble == "no route to the sender" else [-1])
        assert arena.free == arena.slots
    finally:
        await server.stop(grace_s=1)
        store.close()


async def test_an_offer_that_makes_no_sense_and_a_port_nobody_listens_on_are_errors() -> None:
    manifest, store, _ = sample_image()
    store.close()
    arena, want = Arena(slot_bytes=1 << 18, slots=2), WantMap(manifest.chunk_count)
    common = {"session_id": SessionId("s"), "key": KEY, "manifest": manifest, "want": want, "arena": arena}
    with pytest.raises(ProtocolError):
        _client().fetch(Offer(transport="multicast", parameters={}), **common)  # type: ignore[arg-type]
    parameters = {
        "cast": 1,
        "epoch": 1,
        "member": 1,
        "group": "232.1.1.1",
        "group_port": 9000,
        "source": "127.0.0.1",
        "source_specific": True,
        "report_port": 9,
        "port": 1,
        "key": "A" * 43 + "=",
        "symbol_bytes": 1424,
        "protection": "mac",
    }
    with pytest.raises(ConnectionFailedError):
        async with _client().fetch(Offer(transport="multicast", parameters=parameters), **common):  # type: ignore[arg-type]
            pass
