"""Start policies and verdicts of a running cast, over real lanes on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import numpy as np
import pytest

from core.arena import Arena
from core.errors import PathError
from core.ids import SessionId
from core.wantmap import WantMap
from transports.base import ClientContext, Incoming, ServedSession, ServerContext
from transports.conformance.sample import sample_image
from transports.multicast import casting as casting_module
from transports.multicast import making as making_module
from transports.multicast.casting import Casting, Seat
from transports.multicast.client import MulticastClient
from transports.multicast.proto.cast import Cast
from transports.multicast.proto.demotion import Verdict
from transports.multicast.proto.lane import Closing, Joined, Probed
from transports.multicast.server import MulticastServer

pytestmark = pytest.mark.asyncio

KEY = bytes(32)


class Site:
    """One image served to any number of clients in this process."""

    def __init__(self, **settings: object) -> None:
        self.manifest, self.store, _ = sample_image(chunks=60)
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self._news = asyncio.Event()
        self.server = MulticastServer(
            ServerContext(
                host="127.0.0.1",
                advertise=None,
                interface=None,
                settings={"port": 0, **settings},
                on_event=self._hear,
            )
        )

    def _hear(self, name: str, fields: Mapping[str, Any]) -> None:
        self.events.append((name, fields))
        self._news.set()

    async def until(self, name: str) -> None:
        """Wait for an event of that name."""
        async with asyncio.timeout(60):
            while name not in [each for each, _ in self.events]:
                self._news.clear()
                await self._news.wait()

    @contextlib.asynccontextmanager
    async def client(self, name: str, *, options: str = "") -> AsyncIterator[tuple[Incoming, WantMap]]:
        session = ServedSession(id=SessionId(name), key=KEY, manifest=self.manifest, chunks=self.store, options=options)
        offer = self.server.open_session(session)
        want = WantMap(self.manifest.chunk_count)
        half = MulticastClient(
            ClientContext(
                repository_host="127.0.0.1",
                interface=None,
                state_dir=None,
                on_event=self._hear,
            )
        )
        arena = Arena(slot_bytes=1 << 18, slots=4)
        async with half.fetch(
            offer, session_id=SessionId(name), key=KEY, manifest=self.manifest, want=want, arena=arena
        ) as incoming:
            yield incoming, want

    async def __aenter__(self) -> Site:
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop(grace_s=1)
        self.store.close()


async def _take_all(incoming: Incoming, want: WantMap) -> int:
    count = 0
    async for delivery in incoming:
        want.discard(delivery.chunk)
        incoming.accept(delivery)
        delivery.release()
        count += 1
    return count


async def _drop_all(incoming: Incoming) -> None:
    async for delivery in incoming:
        delivery.release()


async def test_nothing_is_sent_before_the_number_of_clients_is_there() -> None:
    async with Site(start_clients=2, start_wait_s=30, rate_mbit_per_s=20) as site, site.client("s1") as (one, want):
        first = asyncio.ensure_future(_take_all(one, want))
        await site.until("waiting")
        assert site.server.session_state(SessionId("s1"))["lane"] == "waiting"
        assert site.server.counters()["chunks_sent"] == 0
        async with site.client("s2") as (two, other), asyncio.timeout(60):
            assert await _take_all(two, other) == 60
            assert await first == 60
        assert site.server.counters()["chunks_sent"] < 90  # one sending served both


async def test_the_longest_wait_begins_a_cast_too() -> None:
    async with Site(start_clients=9, start_wait_s=0.5) as site:
        async with site.client("s1") as (one, want), asyncio.timeout(60):
            assert await _take_all(one, want) == 60
        left = [fields for name, fields in site.events if name == "multicast-ended"]
    assert [(fields["forged"], fields["report_errors"], fields["rejoins"]) for fields in left] == [(0, 0, 0)]


async def test_a_time_of_the_day_begins_a_cast_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [22 * 3600 + 29 * 60 + 50.0]
    for module in (casting_module, making_module):
        monkeypatch.setattr(module, "local_wall_s", lambda: clock[0])
    async with Site(start_at="22:30") as site, site.client("s1") as (one, want):
        taken = asyncio.ensure_future(_take_all(one, want))
        await site.until("waiting")
        state = site.server.session_state(SessionId("s1"))
        assert (state["lane"], state["reason"]) == ("waiting", "waiting: until 22:30")
        assert site.server.counters()["chunks_sent"] == 0
        clock[0] += 10
        await site.until("cast_begun")
        casting = next(iter(site.server._casts.values()))
        async with asyncio.timeout(30):
            while next(iter(casting.seats.values())).way == "waiting":  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
            assert site.server.session_state(SessionId("s1"))["reason"] == ""
            assert await taken == 60


async def test_calls_that_found_too_many_waiting_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.multicast.mailbox.CALLS_MAX", 0)
    async with Site() as site:
        session = {"id": SessionId("s1"), "key": KEY, "manifest": site.manifest, "chunks": site.store}
        site.server.open_session(ServedSession(**session, listening=True))  # type: ignore[arg-type]
        assert site.server.counters()["limit_calls"] >= 1
        assert site.server.counters()["limit_send_buffer"] == site.server.counters()["limit_repairs_tracked"] == 0


async def test_a_member_that_costs_too_much_is_told_why_and_may_come_back() -> None:
    async with Site(rate_mbit_per_s=1) as site, site.client("s1") as (one, _):
        delivery = await anext(one)
        delivery.release()
        casting = next(iter(site.server._casts.values()))
        casting.handle_verdict(Verdict(member=99, lane="unicast", reason="nobody"))
        casting.handle_verdict(Verdict(member=1, lane="late", reason="loses 20 % of the packets"))
        casting.handle_verdict(Verdict(member=1, lane="unicast", reason="loses 30 % of the packets"))
        with pytest.raises(PathError, match="30 %") as caught:
            await _drop_all(one)
        assert caught.value.again_after_s
        assert [fields["lane"] for name, fields in site.events if name == "member_moved"] == ["late", "unicast"]


async def test_a_probe_says_why_only_where_nothing_came_and_no_longer_than_that_holds() -> None:
    async with Site(rate_mbit_per_s=1) as site, site.client("s1") as (one, _):
        (await anext(one)).release()
        casting = next(iter(site.server._casts.values()))
        seat = next(iter(casting.seats.values()))
        casting.probed(seat, Probed(outcome="partial", received=9, sent=16, loss=0.4, reason="40 % are lost"))
        assert casting.state(seat)["reason"] == ""
        casting.probed(seat, Probed(outcome="nothing", received=0, sent=16, loss=1.0, reason="a firewall"))
        assert casting.state(seat)["reason"] == "a firewall"
        assert seat.lane is not None
        await casting.join(seat, seat.lane, np.ones(60, dtype=np.bool_))
        assert casting.state(seat)["reason"] == ""


async def test_the_cap_is_kept_and_shared_between_images() -> None:
    async with Site(rate_mbit_per_s=8) as site, site.client("s1") as (_, _):
        casting = next(iter(site.server._casts.values()))
        assert casting.cap_bytes_per_s == 1_000_000
        casting.share(500_000)
        assert casting.share_bytes_per_s == 500_000


async def test_the_operator_sees_how_fast_a_member_writes_and_what_holds_its_cast() -> None:
    async with Site(rate_mbit_per_s=16) as site, site.client("s1") as (incoming, want):
        casting = next(iter(site.server._casts.values()))
        found: dict[str, Any] = {}
        async with asyncio.timeout(60):
            async for delivery in incoming:
                want.discard(delivery.chunk)
                incoming.accept(delivery)
                delivery.release()
                found = casting.state(next(iter(casting.members)))
                if found.get("write_bytes_per_s"):
                    break
        assert 0 < found["write_bytes_per_s"] < 16e6
        assert found["cast_limited_by"] == "cap"
        assert 0 < found["cast_rate_bytes_per_s"] <= 2_000_000


class Lane:
    """What a member's lane was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def send(self, message: object) -> None:
        self.told.append(message)

    async def close(self) -> None: ...


ALL = np.ones(60, dtype=np.bool_)


def _seated(site: Site) -> tuple[Casting, Seat, Any]:
    """A cast, a seat in it, and a lane for who sits down there."""
    session = ServedSession(id=SessionId("s1"), key=KEY, manifest=site.manifest, chunks=site.store)
    site.server.open_session(session)
    casting = next(iter(site.server._casts.values()))
    return casting, casting.seats["s1"], Lane()


async def _ask(casting: Casting, look: Callable[[Cast], object]) -> object:
    return await asyncio.wrap_future(casting.sender.call(lambda cast, now: look(cast)))


async def test_who_joins_again_is_a_new_member_whose_reports_are_numbered_anew() -> None:
    async with Site(rate_mbit_per_s=1) as site:
        casting, seat, lane = _seated(site)
        casting.begun = True
        await casting.join(seat, lane, ALL)
        first = await _ask(casting, lambda cast: cast.members.get(seat.member))
        await casting.join(seat, lane, ALL)
        assert first is not None
        assert await _ask(casting, lambda cast: cast.members.get(seat.member)) is not first
        assert [type(message) for message in lane.told] == [Joined, Joined]


async def test_who_leaves_while_it_is_let_in_is_gone() -> None:
    async with Site(rate_mbit_per_s=1) as site:
        casting, seat, lane = _seated(site)
        casting.begun = True
        goes_on = threading.Event()
        casting.sender.call(lambda cast, now: goes_on.wait(20))
        joining = asyncio.ensure_future(casting.join(seat, lane, ALL))
        await asyncio.sleep(0)
        casting.left(seat, lane, "gave up")
        goes_on.set()
        await joining
        state = casting.state(seat)
        assert (state["lane"], state["reason"], lane.told) == ("gone", "gave up", [])
        assert await _ask(casting, lambda cast: len(cast.members)) == 0


async def test_who_has_everything_before_a_cast_begins_is_not_sent_for_then() -> None:
    async with Site(start_clients=2) as site:
        casting, seat, lane = _seated(site)
        await casting.join(seat, lane, ALL)
        assert seat.way == "waiting"
        casting.done(seat)
        casting.gate.open = True
        await casting.tick()
        assert casting.begun
        assert casting.state(seat)["lane"] == "done"
        assert await _ask(casting, lambda cast: cast.chunks_wanted) == 0


async def test_what_did_not_come_another_way_is_wanted_again_by_who_waits_and_by_members() -> None:
    async with Site(start_clients=2, rate_mbit_per_s=1) as site:
        casting, seat, lane = _seated(site)
        await casting.join(seat, lane, ALL)
        casting.without(seat, ALL)
        back = np.zeros_like(ALL)
        back[1] = True
        casting.again(seat, back)
        assert seat.wanted is not None
        assert seat.wanted.tolist() == back.tolist()
        casting.gate.open = True
        await casting.tick()
        assert await _ask(casting, lambda cast: cast.upcoming(9)) == [1]
        assert seat.wanted is None
        back[0] = True
        casting.again(seat, back)
        assert await _ask(casting, lambda cast: cast.upcoming(9)) == [1, 0]


async def test_who_waits_for_the_start_is_sent_nothing_before_it() -> None:
    async with Site(start_clients=2, rate_mbit_per_s=1) as site:
        casting, seat, lane = _seated(site)
        await casting.join(seat, lane, ALL)
        casting.again(seat, ALL)
        assert await _ask(casting, lambda cast: cast.upcoming(9)) == []


async def test_who_waited_and_cannot_be_let_in_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Site(start_clients=2) as site:
        casting, seat, lane = _seated(site)
        await casting.join(seat, lane, ALL)
        monkeypatch.setattr("transports.multicast.mailbox.CALLS_MAX", 0)
        casting.gate.open = True
        await casting.tick()
        assert isinstance(lane.told[-1], Closing)
        assert lane.told[-1].retry
        assert seat.lane is None
