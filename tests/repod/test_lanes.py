"""Transports of the daemon: order of offers, one that fails, events from their threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import pytest
from msgspec.structs import replace

from core.errors import BusyError, LockedError, OgcastError, UsageError
from core.ids import SessionId
from images.manifest import Manifest
from images.stores import ChunkReader
from repod.lanes import Lanes
from repod.settings import Settings
from transports.base import Capabilities, Offer, ServedSession, ServerContext, TransportSpec

pytestmark = pytest.mark.asyncio


class Server:
    """A transport in memory."""

    made: ClassVar[list[Server]] = []
    taken: ClassVar[set[int]] = set()
    name = "?"

    def __init__(self, context: ServerContext) -> None:
        self.context = context
        self.port = context.settings.get("port", -1)
        self.stopped = 0
        self.refuse = self.picky = self.stumble = self.listened = False
        Server.made.append(self)

    async def start(self) -> None:
        if self.port in Server.taken:
            raise LockedError("taken")

    async def stop(self, *, grace_s: float) -> None:
        self.stopped += 1

    def open_session(self, session: Any) -> Offer:
        self.listened = session.listening
        if self.refuse:
            raise BusyError("not now")
        if self.stumble:
            raise OSError(97, "Address family not supported")
        if self.picky and session.options:
            raise UsageError(f"option string {session.options}")
        return Offer(transport=self.name, parameters={"port": self.port})

    def close_session(self, session_id: SessionId, reason: str) -> None:
        self.closed = (session_id, reason)

    def session_state(self, session_id: SessionId) -> Mapping[str, Any]:
        return {"lane": self.name}

    def counters(self) -> Mapping[str, float]:
        return {"bytes_sent": 5}


class Slow(Server):
    name = "slow"


class Cast(Server):
    name = "cast"


SLOW = TransportSpec(
    name="slow",
    protocol="SLOW",
    server="x:Slow",
    client="x:x",
    capabilities=Capabilities(fallback=True, captures=True, listens=True),
)
CAST = TransportSpec(
    name="cast", protocol="CAST", server="x:Cast", client="x:x", capabilities=Capabilities(shared_send=True)
)


def session(options: str = "") -> ServedSession:
    return ServedSession(
        id=SessionId("s"), key=bytes(32), manifest=cast(Manifest, None), chunks=cast(ChunkReader, None), options=options
    )


@pytest.fixture
def events() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch, events: list[tuple[str, str]]) -> Lanes:
    Server.made, Server.taken = [], set()
    monkeypatch.setattr("repod.lanes.load_server", lambda spec: {"slow": Slow, "cast": Cast}[spec.name])
    return Lanes([SLOW, CAST], on_event=lambda transport, name, fields: events.append((transport, name)))


async def start(lanes: Lanes, settings: Settings, port: int = 8717) -> None:
    await lanes.start(settings, host="127.0.0.1", advertise=None, control_port=port)


async def test_the_method_comes_first_then_what_to_fall_back_to(lanes: Lanes) -> None:
    await start(lanes, Settings())
    for first, expected in (("cast", ["cast", "slow"]), ("slow", ["slow"])):
        offers, refusals = lanes.open_session(session(), first=first)
        assert [offer.transport for offer in offers] == expected
        assert refusals == {}
    assert lanes.session_state(SessionId("s"))["cast"] == {"lane": "cast"}
    assert lanes.counters()["slow"] == {"bytes_sent": 5}
    await lanes.stop()
    await lanes.stop()
    assert [server.stopped for server in Server.made] == [1, 1]


async def test_who_chooses_and_listens_does_so_to_what_serves_many(lanes: Lanes) -> None:
    await start(lanes, Settings())
    listens = replace(session(), listening=True)
    for first, heard in ((None, [False, True]), ("cast", [False, True]), ("slow", [True, True])):
        lanes.open_session(listens, first=first)
        assert [server.listened for server in Server.made] == heard


async def test_one_that_the_machine_hinders_is_left_out_and_told(lanes: Lanes) -> None:
    await start(lanes, Settings())
    Server.made[1].stumble = True
    offers, refusals = lanes.open_session(session(), first="cast")
    assert [offer.transport for offer in offers] == ["slow"]
    assert "Address family not supported" in refusals["cast"]
    Server.made[0].stumble = True
    with pytest.raises(OgcastError, match="Address family"):
        lanes.open_session(session(), first="cast")


async def test_one_that_refuses_is_left_out_and_told(lanes: Lanes, events: list[tuple[str, str]]) -> None:
    await start(lanes, Settings())
    Server.made[1].refuse = True
    offers, refusals = lanes.open_session(session(), first="cast")
    assert [offer.transport for offer in offers] == ["slow"]
    assert refusals == {"cast": "not now"}
    assert events == [("cast", "offer_refused")]
    Server.made[0].refuse = True
    with pytest.raises(BusyError):
        lanes.open_session(session(), first="cast")


async def test_a_mistake_in_the_option_string_is_the_clients_error(lanes: Lanes) -> None:
    await start(lanes, Settings())
    Server.made[1].picky = True
    with pytest.raises(UsageError, match="nonsense"):
        lanes.open_session(session("nonsense"), first="cast")
    Server.made[0].picky, Server.made[1].picky = True, False
    offers, _ = lanes.open_session(session("of cast alone"), first="cast")
    assert len(offers) == 2


async def test_without_any_transport_the_repository_is_busy(lanes: Lanes) -> None:
    await start(lanes, Settings(transports={"slow": {"enabled": False}, "cast": {"enabled": False}}))
    assert Server.made == []
    with pytest.raises(BusyError):
        lanes.open_session(session(), first="slow")


@pytest.mark.parametrize(
    ("settings", "control", "taken", "port"),
    [
        (Settings(), 8717, set(), 8718),
        (Settings(port=0), 4000, set(), 0),
        (Settings(port=9000), 9000, set(), 9001),
        (Settings(port=9000), 9000, {9001}, 0),
        (Settings(port=65535), 65535, set(), 0),
        (Settings(transports={"slow": {"port": 7}}), 8717, set(), 7),
    ],
)
async def test_the_lane_listens_beside_the_control_port(lanes: Lanes, settings, control, taken, port) -> None:
    Server.taken = taken
    await start(lanes, settings, control)
    assert lanes.ports()["slow"] == port


async def test_a_transport_that_cannot_start_stops_the_others(lanes: Lanes) -> None:
    Server.taken = {-1}
    with pytest.raises(LockedError):
        await start(lanes, Settings())
    assert all(server.stopped for server in Server.made)


async def test_a_table_of_no_transport_is_an_error(lanes: Lanes) -> None:
    with pytest.raises(UsageError, match="pigeon"):
        await start(lanes, Settings(transports={"pigeon": {}}))


async def test_events_from_threads_reach_the_loop(lanes: Lanes, events: list[tuple[str, str]]) -> None:
    await start(lanes, Settings())
    tell = Server.made[0].context.on_event
    thread = threading.Thread(target=lambda: [tell("noise", {}) for _ in range(2000)] and tell("lane_opened", {}))
    thread.start()
    thread.join()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert events[-1] == ("slow", "lane_opened")
    assert len(events) + lanes.events_dropped == 2001
    assert lanes.events_dropped > 0
