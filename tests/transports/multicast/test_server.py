"""The server half on the loopback interface: what it offers, refuses, counts and ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from core.errors import BusyError, LockedError, UsageError
from core.ids import SessionId
from images.manifest import Manifest
from transports.base import CaptureGrant, ServedSession, ServerContext
from transports.conformance.sample import SampleStore, sample_image
from transports.member.handshake import enter
from transports.multicast.lane import MemberLane
from transports.multicast.proto.lane import Probed
from transports.multicast.server import MulticastServer
from transports.multicast.udp.interface import Interface

pytestmark = pytest.mark.asyncio

Hear = Callable[[str, Mapping[str, Any]], None]


def _nobody(name: str, fields: Mapping[str, Any]) -> None: ...


def _context(hear: Hear, **settings: object) -> ServerContext:
    return ServerContext(
        host="127.0.0.1",
        advertise=None,
        interface=None,
        settings={"port": 0, **settings},
        on_event=hear,
    )


@contextlib.asynccontextmanager
async def running(hear: Hear | None = None, **settings: object) -> AsyncIterator[MulticastServer]:
    server = MulticastServer(_context(hear or _nobody, **settings))
    await server.start()
    try:
        yield server
    finally:
        await server.stop(grace_s=1.0)


def _session(manifest: Manifest, store: SampleStore, name: str, options: str = "") -> ServedSession:
    return ServedSession(id=SessionId(name), key=bytes(32), manifest=manifest, chunks=store, options=options)


async def test_sessions_of_one_image_share_a_cast_and_those_of_others_do_not() -> None:
    (one, store), (other, more) = (sample_image(seed=seed)[:2] for seed in (1, 2))
    async with running() as server:
        offers = [
            server.open_session(_session(one, store, "s1")).parameters,
            server.open_session(_session(one, store, "s2")).parameters,
            server.open_session(_session(other, more, "s3")).parameters,
        ]
        assert offers[0]["cast"] == offers[1]["cast"] != offers[2]["cast"]
        assert offers[0]["member"] != offers[1]["member"]
        places = [(offer["group"], offer["group_port"]) for offer in offers]
        assert places[0] == places[1] != places[2]
        assert server.counters()["casts"] == 2
        assert server.session_state(SessionId("s1"))["lane"] == "offered"
        assert server.session_state(SessionId("nobody")) == {}
    store.close()
    more.close()


class Ended(asyncio.Event):
    """Set when a cast has ended."""

    def hear(self, name: str, fields: Mapping[str, Any]) -> None:
        if name == "cast_ended":
            self.set()


async def test_a_cast_nobody_has_a_seat_in_ends() -> None:
    ended = Ended()
    manifest, store, _ = sample_image()
    async with running(ended.hear, linger_s=0.1) as server:
        server.open_session(_session(manifest, store, "s1"))
        server.close_session(SessionId("s1"), "done")
        server.close_session(SessionId("s1"), "repeating is harmless")
        await asyncio.wait_for(ended.wait(), 5)
        assert server.counters()["casts"] == 0
        first = server.open_session(_session(manifest, store, "s2")).parameters
        assert first["epoch"] == 2
    store.close()


async def test_totals_do_not_go_down_while_a_cast_says_goodbye() -> None:
    ended = Ended()
    manifest, store, _ = sample_image()
    async with running(ended.hear) as server, asyncio.timeout(20):
        server.open_session(replace(_session(manifest, store, "s1"), listening=True))
        while not (sent := server.counters()["packets_sent"]):  # noqa: ASYNC110 - counted on the sender's thread
            await asyncio.sleep(0.01)
        server._retire(manifest.root, "another room begins")
        assert server.counters()["packets_sent"] >= sent
        await ended.wait()
        assert server.counters()["packets_sent"] >= sent
        assert server._closing == []
        counted = server.counters()["packets_sent"]
        assert server.counters()["packets_sent"] == counted  # once
    store.close()


async def test_a_cast_that_cannot_be_looked_after_keeps_no_other_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Ended()
    (one, store), (other, more) = (sample_image(seed=seed)[:2] for seed in (1, 2))

    def no_descriptor(*_: object) -> bool:
        raise OSError(errno.EMFILE, "too many open files")

    async with running(ended.hear, linger_s=0.1) as server:
        server.open_session(_session(one, store, "s1"))
        server.open_session(_session(other, more, "s2"))
        monkeypatch.setattr(Interface, "stands", no_descriptor)
        server.close_session(SessionId("s2"), "done")
        await asyncio.wait_for(ended.wait(), 5)
        assert server.counters()["casts"] == 1
        assert server.counters()["ticks_failed"] >= 1
    store.close()
    more.close()


async def test_what_a_cast_says_that_was_retired_is_not_taken_for_its_successors_word() -> None:
    manifest, store, _ = sample_image()
    heard: list[tuple[str, Mapping[str, Any]]] = []
    wish = "9002:full-duplex:239.194.17.36:70M:{}:60"
    async with running(lambda name, fields: heard.append((name, fields))) as server:
        before = server.open_session(_session(manifest, store, "s1", wish.format(1))).parameters
        server.close_session(SessionId("s1"), "done")
        server.open_session(_session(manifest, store, "s2", wish.format(5)))
        said = {"reason": "the interface is gone"}
        server._relay(manifest.root, before["cast"], "sending_failed", said)
        verdict = {"member": before["member"], "lane": "unicast", "reason": "it is greedy"}
        server._relay(manifest.root, before["cast"], "verdict", verdict)
        for _ in range(3):
            await asyncio.sleep(0)
        state = server.session_state(SessionId("s2"))
        assert (state["lane"], state["reason"]) == ("offered", "")
        assert ("sending_failed", {**said, "cast": before["cast"]}) in heard
    store.close()


async def test_the_option_string_is_a_wish_and_a_mistake_in_it_an_error() -> None:
    manifest, store, _ = sample_image()
    other, more, _ = sample_image(seed=2)
    async with running() as server:
        wish = "9002:full-duplex:239.194.17.36:70M:2:60"
        assert server.open_session(_session(manifest, store, "s1", wish)).parameters["group"] == "239.194.17.36"
        taken = server.open_session(_session(other, more, "s2", wish)).parameters
        assert (taken["group"], taken["group_port"]) != ("239.194.17.36", 9002)
        with pytest.raises(UsageError):
            server.open_session(_session(manifest, store, "s3", "9002:full-duplex:10.1.1.1:70M:2:60"))
    store.close()
    more.close()


async def test_a_cast_that_only_lingers_makes_way_for_another_room_and_its_wishes() -> None:
    manifest, store, _ = sample_image()
    wish = "9002:full-duplex:239.194.17.36:{}M:{}:60"
    async with running() as server:
        first = server.open_session(_session(manifest, store, "s1", wish.format(70, 1))).parameters
        server.close_session(SessionId("s1"), "done")
        second = server.open_session(_session(manifest, store, "s2", wish.format(20, 5))).parameters
        assert second["cast"] != first["cast"] or second["epoch"] != first["epoch"]
        assert (second["group"], second["group_port"]) == ("239.194.17.36", 9002)
        # while somebody is there, what others wish changes nothing
        third = server.open_session(_session(manifest, store, "s3", wish.format(50, 1))).parameters
        assert (third["cast"], third["epoch"]) == (second["cast"], second["epoch"])
        other, more, _ = sample_image(seed=2)
        taken = server.open_session(_session(other, more, "s4", wish.format(20, 5))).parameters
        assert (taken["group"], taken["group_port"]) != ("239.194.17.36", 9002)  # the first's end released nothing
    store.close()
    more.close()


async def test_wishes_of_a_room_that_has_gone_are_not_those_of_the_next_client() -> None:
    manifest, store, _ = sample_image()
    async with running() as server:
        wished = server.open_session(_session(manifest, store, "s1", "9002:full-duplex:239.194.17.36:20M:1:0"))
        server.close_session(SessionId("s1"), "done")
        plain = server.open_session(_session(manifest, store, "s2")).parameters
        assert plain["epoch"] == wished.parameters["epoch"] + 1
        assert plain["group_port"] != 9002
        server.close_session(SessionId("s2"), "done")
        # a client's own times are no wish of the cast
        again = server.open_session(_session(manifest, store, "s3", "9000:10.1.1.5:60:120")).parameters
        assert again["epoch"] == plain["epoch"]
    store.close()


async def test_a_client_is_told_what_of_its_option_string_the_cast_does_not_follow() -> None:
    manifest, store, _ = sample_image()
    other, more, _ = sample_image(seed=2)
    wish = "9002:full-duplex:239.194.17.36:{}M:{}:0"
    async with running(rate_mbit_per_s=50) as server:
        first = server.open_session(_session(manifest, store, "s1", wish.format(20, 1))).parameters
        assert first["unmet"] == ""
        assert server.open_session(_session(manifest, store, "s2")).parameters["unmet"] == ""
        assert server.open_session(_session(manifest, store, "s3", wish.format(20, 1))).parameters["unmet"] == ""
        third = server.open_session(_session(manifest, store, "s4", wish.format(30, 5))).parameters
        assert third["unmet"] == "20 Mbit/s, another start"
        fast = server.open_session(_session(other, more, "s5", wish.format(70, 1))).parameters
        assert fast["unmet"] == f"group {fast['group']}:{fast['group_port']}, 50 Mbit/s"
    store.close()
    more.close()


async def test_where_rooms_are_waited_for_a_lingering_cast_is_not_taken_for_begun() -> None:
    manifest, store, _ = sample_image()
    async with running(start_clients=2) as server:
        first = server.open_session(_session(manifest, store, "s1")).parameters
        assert server.open_session(_session(manifest, store, "s2")).parameters["epoch"] == first["epoch"]
        for name in ("s1", "s2"):
            server.close_session(SessionId(name), "done")
        assert server.open_session(_session(manifest, store, "s3")).parameters["epoch"] == first["epoch"] + 1
    async with running() as server:
        first = server.open_session(_session(manifest, store, "s1")).parameters
        server.close_session(SessionId("s1"), "done")
        assert server.open_session(_session(manifest, store, "s2")).parameters["epoch"] == first["epoch"]
        server.close_session(SessionId("s2"), "done")
        server.open_session(_session(manifest, store, "s3", "9002:full-duplex:239.194.17.36:70M:50:60"))
        server.close_session(SessionId("s3"), "interrupted")
        # of a room that was waited for and has left, nothing is waited for
        server.open_session(_session(manifest, store, "s4"))
        (casting,) = server._casts.values()
        assert casting.gate.open
    store.close()


async def test_limits_are_refusals_that_are_counted() -> None:
    manifest, store, _ = sample_image()
    other, more, _ = sample_image(seed=2)
    async with running(max_casts=1, max_members=2) as server:
        server.open_session(_session(manifest, store, "s1"))
        with pytest.raises(BusyError, match="no further image can be cast"):
            server.open_session(_session(other, more, "s2"))
        server.open_session(_session(manifest, store, "s3"))
        with pytest.raises(BusyError, match="members"):
            server.open_session(_session(manifest, store, "s4"))
        counters = server.counters()
        assert (counters["limit_max_casts"], counters["limit_max_members"]) == (1, 1)
    store.close()
    more.close()


async def test_a_taken_port_and_captures_are_refused_in_words() -> None:
    async with running() as server:
        second = MulticastServer(_context(_nobody, port=server.port))
        with pytest.raises(LockedError, match=str(server.port)):
            await second.start()
        await second.stop(grace_s=0)
        with pytest.raises(UsageError):
            server.open_capture(CaptureGrant(id=SessionId("c"), key=bytes(32), writer=SampleStore(), chunk_bytes=1))


async def test_a_stranger_on_the_lane_port_is_told_and_nothing_else_happens() -> None:
    events: list[str] = []
    async with running(lambda name, fields: events.append(name)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 4)
        assert await reader.read() == b""
        writer.close()
        assert events == ["lane_broken"]
        assert server.counters()["lanes_refused"] == 1


async def test_a_crowd_that_only_connects_keeps_no_member_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.callers.STRANGER_S", 0.0)
    manifest, store, _ = sample_image()
    async with running(max_members=2) as server, asyncio.timeout(20):
        server.open_session(_session(manifest, store, "s1"))
        crowd = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(9)]
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await enter(reader, writer, session_id="s1", key=bytes(32))
        assert server.counters()["strangers_dropped"] >= 1
        for _, each in [*crowd, (reader, writer)]:
            each.close()
    store.close()


async def test_who_says_much_is_heard_later_but_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.multicast.server.MESSAGES_AT_ONCE", 2.0)
    manifest, store, _ = sample_image()
    heard = asyncio.Event()
    async with (
        running(lambda name, fields: heard.set() if fields.get("outcome") == "good" else None) as server,
        asyncio.timeout(20),
    ):
        server.open_session(_session(manifest, store, "s1"))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await enter(reader, writer, session_id="s1", key=bytes(32))
        lane = MemberLane(reader, writer)
        for _ in range(20):
            lane.send(Probed(outcome="partial", received=8, sent=16, loss=0.5))
        lane.send(Probed(outcome="good", received=16, sent=16, loss=0.0))
        await heard.wait()
        assert server.counters()["limit_messages"] >= 1
        await lane.close()
    store.close()


async def test_a_fault_in_the_clock_is_told_and_keeps_no_cast_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Ended()
    manifest, store, _ = sample_image()
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    monkeypatch.setattr(MulticastServer, "_share_out", lambda self: {}["a fault"])
    async with running(ended.hear, linger_s=0.1) as server:
        server.open_session(_session(manifest, store, "s1"))
        async with asyncio.timeout(20):
            while server.counters().get("ticks_failed", 0) < 2:  # noqa: ASYNC110 - counted by the clock
                await asyncio.sleep(0.01)
        server.close_session(SessionId("s1"), "done")
        await asyncio.wait_for(ended.wait(), 20)
    assert [repr(each) for each in told] == ["KeyError('a fault')"]
    store.close()
