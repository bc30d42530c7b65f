"""The sender's thread on real sockets: it serves, survives what goes wrong around it, and stops."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from core.errors import RepositoryTroubleError
from images.stores import StoredChunk
from tests.support.casts import KEY, MemberOfCast, StoredImage, cast_sender, member_key
from tests.support.netns import INTERFACE, ip, namespaces_usable, run_apart
from transports.multicast.authenticator import CarterWegman
from transports.multicast.proto.burst import Burst, Control
from transports.multicast.proto.cast import Cast
from transports.multicast.proto.demotion import Verdict
from transports.multicast.proto.limits import BURST_PACKETS
from transports.multicast.proto.packets import Kind, kind_of
from transports.multicast.proto.precedence import LEAST_BYTES
from transports.multicast.proto.rate import RateLimits
from transports.multicast.sender import READ_ATTEMPTS, CastSender
from transports.multicast.udp.group import Group
from transports.multicast.udp.interface import find_interface

apart = pytest.mark.skipif(not namespaces_usable(), reason="may not make network namespaces")
GROUP = Group(address="239.77.5.1", port=47005)
pytestmark = pytest.mark.asyncio


class Events:
    """What a sender told, from any thread."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Mapping[str, Any]]] = []
        self._more = threading.Condition()

    def __call__(self, event: str, fields: Mapping[str, Any]) -> None:
        with self._more:
            self.seen.append((event, fields))
            self._more.notify_all()

    def wait_for(self, event: str) -> Mapping[str, Any]:
        with self._more:
            assert self._more.wait_for(lambda: any(name == event for name, _ in self.seen), 5), self.seen
            return next(fields for name, fields in self.seen if name == event)

    def wait_for_more(self, count: int) -> bool:
        """Whether more than `count` are told, soon."""
        with self._more:
            return self._more.wait_for(lambda: len(self.seen) > count, 5)


def add_member(cast: Cast, now: float, *, chunks: int, number: int = 9) -> None:
    cast.add_member(number, key=member_key(number), wanted=np.ones(chunks, dtype=np.bool_), now=now, probe=False)


class Ends:
    """Socket, frames and trains of a sender, without any of them."""

    packet_bytes = 88
    parity = ()

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.reports: list[bytes] = []

    def send(self, packets: memoryview, packet_bytes: int) -> None:
        self.sent.append(bytes(packets))

    def receive(self, buffer: memoryview) -> tuple[int, tuple[str, int]] | None:
        if not self.reports:
            return None
        report = self.reports.pop()
        buffer[: len(report)] = report
        return len(report), ("", 0)

    def read_ahead(self, chunks: Iterable[int]) -> None:
        pass

    def build(self, burst: Burst, frame: Callable[[], object]) -> memoryview:
        return memoryview(bytes(len(burst) * self.packet_bytes))

    def control(self, control: Control) -> bytes:
        return control.data


@pytest.mark.parametrize("by", ["call", "report"])
async def test_what_is_heard_is_answered_though_the_next_train_is_not_due(by: str) -> None:
    ends: Any = Ends()
    clock = [100.0]
    limits = RateLimits(cap_bytes_per_s=1000)
    cast = Cast(cast_id=7, chunks=1, stored=lambda chunk: (64 * 400, 0), symbol_bytes=64, limits=limits, now=100.0)
    sender = CastSender(
        cast, socket=ends, frames=ends, trains=ends, on_event=lambda event, fields: None, clock=lambda: clock[0]
    )
    sender._wait = lambda seconds: None  # type: ignore[method-assign]
    sender.call(lambda cast, now: add_member(cast, now, chunks=1))
    for _ in range(100):
        clock[0] += 0.05
        sender._turn()
        if sender._quiet_until > clock[0]:
            break
    before = len(ends.sent)
    sender._turn()
    assert len(ends.sent) == before, "nothing was due, and nothing heard"
    if by == "call":
        wants = np.ones(1, dtype=np.bool_)
        sender.call(lambda cast, now: cast.add_member(2, key=member_key(2), wanted=wants, now=now))
        sender._turn()
        assert kind_of(ends.sent[before]) is Kind.PROBE
    else:
        ends.reports.append(bytes(60))
        sender._turn()
        assert cast.totals.reports_refused == 1
        assert sender._quiet_until == float("-inf")


@pytest.mark.parametrize("segment", [True, False])
async def test_an_image_reaches_two_members_with_and_without_segmentation(segment: bool) -> None:
    with (
        StoredImage(1, 1399, 1400, 200_000, 300_000) as image,
        cast_sender(image, GROUP, segment=segment) as (sender, reports),
        MemberOfCast(image, GROUP, reports) as one,
        MemberOfCast(image, GROUP, reports, number=2, merge=False) as other,
    ):
        await one.join(sender)
        await other.join(sender)
        await one.until_complete()
        await other.until_complete()
        assert [one.chunks[chunk] for chunk in range(5)] == image.frames
        assert [other.chunks[chunk] for chunk in range(5)] == image.frames
        assert sender.counters.read_errors == sender.counters.send_errors == 0


async def test_who_changes_its_lane_is_told_though_there_is_always_something_to_send() -> None:
    sent_before: list[int] = []
    told = threading.Event()

    def hear(event: str, fields: Mapping[str, Any]) -> None:
        if event == "verdict":
            sent_before.append(sender._cast.totals.packets)
            told.set()

    def begin(cast: Cast, now: float) -> None:
        add_member(cast, now, chunks=1)
        cast._events.append(Verdict(member=9, lane="late", reason="loses much"))

    with (
        StoredImage(4_000_000) as image,
        cast_sender(image, GROUP, rate_bytes_per_s=1e12, on_event=hear) as (sender, _),
    ):
        await asyncio.wrap_future(sender.call(begin))
        assert await asyncio.to_thread(told.wait, 10)
    assert sent_before[0] <= BURST_PACKETS


async def test_what_it_costs_is_looked_at_though_there_is_always_something_to_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transports.multicast.proto.precedence.LOOK_S", 0.0)
    with StoredImage(4_000_000) as image, cast_sender(image, GROUP, rate_bytes_per_s=1e12) as (sender, _):
        stands_back_at: list[int] = []
        looks = sender._precedence.handle_cost
        looked = threading.Event()

        def look(**costs: float) -> bool:
            changed = looks(**costs)  # type: ignore[arg-type]
            if changed:
                stands_back_at.append(sender._cast.totals.wire_bytes)
                looked.set()
            return changed

        def begin(cast: Cast, now: float) -> None:
            sender._cpu_clock = lambda: float(cast.totals.wire_bytes)
            monkeypatch.setattr(sender._precedence, "handle_cost", look, raising=False)
            add_member(cast, now, chunks=1)

        await asyncio.wrap_future(sender.call(begin))
        assert await asyncio.to_thread(looked.wait, 10)
        assert stands_back_at[0] < LEAST_BYTES + 2 * BURST_PACKETS * 1600


async def test_nothing_is_sent_while_nobody_is_there() -> None:
    with StoredImage(5000) as image, cast_sender(image, GROUP) as (sender, _):
        await asyncio.sleep(0.05)
        assert await asyncio.wrap_future(sender.call(lambda cast, now: cast.totals.packets + cast.totals.control)) == 0


async def test_foreign_reports_change_only_a_counter() -> None:
    with StoredImage(5000) as image, cast_sender(image, GROUP) as (sender, reports):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for data in (b"", b"x", bytes(100), b"\x14" + bytes(90), bytes(1400), bytes(9000)):
                stranger.sendto(data, reports)
            async with asyncio.timeout(5):
                while sender._cast.totals.reports_refused < 6:
                    stranger.sendto(b"", ("127.0.0.1", 9))
                    await asyncio.wrap_future(sender.call(lambda cast, now: None))
        assert sender._cast.totals.reports == 0
        assert sender.running


async def test_a_chunk_that_cannot_be_read_is_told_each_time_it_is_sent_and_the_others_arrive() -> None:
    events = Events()
    with (
        StoredImage(5000, 6000, 700_000) as image,
        cast_sender(image, GROUP, on_event=events) as (sender, reports),
        MemberOfCast(image, GROUP, reports) as member,
        MemberOfCast(image, GROUP, reports, number=2) as later,
    ):
        image.truncate(5000 + 6000)
        await member.join(sender)
        await member.until(lambda: {0, 1} <= member.chunks.keys())
        assert "ends inside chunk 2" in events.wait_for("chunk_unreadable")["reason"]
        await asyncio.wrap_future(member.receiver.call(lambda reception, now: reception.handle_accepted(2)))
        await asyncio.wrap_future(sender.call(lambda cast, now: cast.handle_done(1)))
        told = len(events.seen)
        await later.join(sender)
        assert await asyncio.to_thread(events.wait_for_more, told)
        assert sender.running
        assert {name for name, _ in events.seen} == {"chunk_unreadable"}
        assert sender.counters.read_errors <= len(events.seen) + 1  # one train of it was tried each time


@pytest.mark.parametrize("times", [3, 10_000])
async def test_trouble_of_the_disk_condemns_a_chunk_only_where_it_stays(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transports.multicast.sender.TROUBLE_PAUSE_S", 0.0)
    events = Events()
    with StoredImage(5000, 6000, 7000) as image:
        locate, left = image.locate, [times]

        def stumbling(chunk: int) -> StoredChunk:
            if chunk == 1 and left[0]:
                left[0] -= 1
                raise RepositoryTroubleError("pack 1 cannot be opened: Too many open files")
            return locate(chunk)

        monkeypatch.setattr(image, "locate", stumbling)
        with (
            cast_sender(image, GROUP, on_event=events) as (sender, reports),
            MemberOfCast(image, GROUP, reports) as member,
        ):
            await member.join(sender)
            await member.until(lambda: {0, 2} <= member.chunks.keys())
            if times < READ_ATTEMPTS:
                await member.until_complete()
                assert sender.counters.read_errors >= 1
                assert "chunk_unreadable" not in {name for name, _ in events.seen}
            else:
                assert "Too many open files" in events.wait_for("chunk_unreadable")["reason"]
            assert sender.running
            left[0] = 0


async def test_trouble_that_outlasts_one_chunk_does_not_condemn_the_next_ones_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("transports.multicast.sender.TROUBLE_PAUSE_S", 0.0)
    events = Events()
    with StoredImage(*[5000] * 40) as image:
        locate, left = image.locate, [2 * READ_ATTEMPTS - 1]

        def stumbling(chunk: int) -> StoredChunk:
            if left[0]:
                left[0] -= 1
                raise RepositoryTroubleError("pack 1 cannot be opened: Too many open files")
            return locate(chunk)

        monkeypatch.setattr(image, "locate", stumbling)
        with (
            cast_sender(image, GROUP, on_event=events) as (sender, reports),
            MemberOfCast(image, GROUP, reports) as member,
        ):
            await member.join(sender)
            await member.until_complete()
            assert [name for name, _ in events.seen].count("chunk_unreadable") == 1


async def test_a_chunk_the_store_does_not_know_ends_nothing() -> None:
    events = Events()
    with (
        StoredImage(5000, 6000) as image,
        cast_sender(image, GROUP, on_event=events) as (sender, reports),
        MemberOfCast(image, GROUP, reports) as member,
    ):
        image.lost.add(0)
        await member.join(sender)
        await member.until(lambda: 1 in member.chunks)
        assert "no chunk 0" in events.wait_for("chunk_unreadable")["reason"]
        image.lost.clear()
        await member.until_complete()


async def test_a_cast_that_used_its_numbers_up_says_so_and_ends() -> None:
    events = Events()
    with (
        StoredImage(200_000) as image,
        cast_sender(image, GROUP, on_event=events, first_sequence=2**48 - 60) as (sender, _),
    ):
        sender.call(lambda cast, now: add_member(cast, now, chunks=1))
        events.wait_for("cast_exhausted")
        sender._thread.join(5)
        assert not sender.running
        assert sender.call(lambda cast, now: None).exception(timeout=5) is not None


async def test_a_fault_ends_the_thread_with_an_event_and_closes_everything() -> None:
    events = Events()

    class Faulty(CarterWegman):
        def seal(self, packets: Any, sequences: Any) -> None:
            raise RuntimeError("a fault")

    with (
        StoredImage(5000) as image,
        cast_sender(image, GROUP, on_event=events, authenticator=Faulty(KEY)) as (sender, _),
    ):
        sender.call(lambda cast, now: add_member(cast, now, chunks=1))
        assert "a fault" in events.wait_for("cast_crashed")["reason"]
    assert sender.counters.crashes == 1


async def test_stopping_is_quick_and_may_be_repeated() -> None:
    with StoredImage(5000) as image, cast_sender(image, GROUP) as (sender, _):
        assert sender.stop(), "within the time it is given"
        assert sender.stop()
        assert not sender.running


@pytest.mark.root
@apart
async def test_an_interface_that_goes_down_midway_is_told_and_the_cast_goes_on_when_it_is_back() -> None:
    events = Events()

    def work() -> None:
        asyncio.run(through_the_dark())

    async def through_the_dark() -> None:
        near = find_interface(INTERFACE)
        with (
            StoredImage(*[400_000] * 8) as image,
            cast_sender(image, GROUP, interface=near, rate_bytes_per_s=8e6, on_event=events) as (sender, reports),
            MemberOfCast(image, GROUP, reports, interface=near) as member,
        ):
            await member.join(sender)
            await member.until(lambda: len(member.chunks) >= 2)
            ip("link", "set", INTERFACE, "down")
            reason = events.wait_for("sending_failed")["reason"]
            assert "ip " in reason
            ip("link", "set", INTERFACE, "up")
            events.wait_for("sending_again")
            await member.until_complete()
            assert [member.chunks[chunk] for chunk in range(8)] == image.frames

    await asyncio.to_thread(run_apart, work)
    assert [name for name, _ in events.seen].count("sending_failed") >= 1


@pytest.mark.root
async def test_the_thread_goes_first_unless_what_it_sends_costs_much() -> None:
    async def kind() -> int:
        found = sender.call(lambda cast, now: os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK)
        return await asyncio.wrap_future(found)

    with (
        StoredImage(*[400_000] * 4) as image,
        cast_sender(image, GROUP, rate_bytes_per_s=4e6) as (sender, reports),
    ):
        assert await kind() == os.SCHED_RR
        sender._cpu_clock = lambda: 1e-6 * sender._cast.totals.wire_bytes  # four processors at this rate
        with MemberOfCast(image, GROUP, reports) as member:
            await member.join(sender)
            await member.until_complete()
        assert await kind() == os.SCHED_OTHER
        sender._cpu_clock = lambda: 0.0
        with MemberOfCast(image, GROUP, reports, number=2) as member:
            await member.join(sender)
            await member.until_complete()
        assert await kind() == os.SCHED_RR
