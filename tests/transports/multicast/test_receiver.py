"""A member's thread on real sockets: losses are mended, strangers ignored, slots never leak."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import LocalError
from tests.support.casts import KEY, SYMBOL_BYTES, MemberOfCast, StoredImage, cast_sender
from tests.support.netns import INTERFACE, ip, namespaces_usable, run_apart
from transports.multicast.authenticator import CarterWegman, Protection
from transports.multicast.fec.cauchy import CauchyCode
from transports.multicast.proto.assembly import Repairs
from transports.multicast.proto.layout import Layout
from transports.multicast.proto.received import Ready
from transports.multicast.proto.reception import Alarm
from transports.multicast.receiver import FEW_BYTES_PER_S, GATHER_FEW_S, GATHER_S, _report_socket, pause_s
from transports.multicast.udp.group import Group
from transports.multicast.udp.interface import find_interface
from transports.multicast.udp.outgoing import GroupSender

apart = pytest.mark.skipif(not namespaces_usable(), reason="may not make network namespaces")
GROUP = Group(address="239.77.6.1", port=47006)
pytestmark = pytest.mark.asyncio


class Lossy(CarterWegman):
    """Drops a share of what arrives, as a bad cable does, by not believing its tags."""

    def __init__(self, share: float, seed: int) -> None:
        super().__init__(KEY)
        self._share = share
        self._rng = np.random.default_rng(seed)

    def check(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        kept: NDArray[np.bool_] = self._rng.random(len(packets)) >= self._share
        return super().check(packets, sequences) & kept

    def check_headers(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        kept: NDArray[np.bool_] = self._rng.random(len(packets)) >= self._share
        return super().check_headers(packets, sequences) & kept


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
async def test_members_with_different_losses_mend_them_by_parity(share: float) -> None:
    with (
        StoredImage(*[600_000] * 6) as image,
        cast_sender(image, GROUP) as (sender, reports),
        MemberOfCast(image, GROUP, reports, authenticator=Lossy(share, 1)) as one,
        MemberOfCast(image, GROUP, reports, number=2, authenticator=Lossy(share, 2)) as other,
    ):
        await one.join(sender)
        await other.join(sender)
        await one.until_complete()
        await other.until_complete()
        assert [one.chunks[chunk] for chunk in range(6)] == image.frames
        assert [other.chunks[chunk] for chunk in range(6)] == image.frames
        assert one.receiver.counters.mended_symbols > 0
        assert sender._cast.totals.repairs > 0


async def test_with_protection_off_data_flows_all_the_same() -> None:
    with (
        StoredImage(90_000) as image,
        cast_sender(image, GROUP, protection=Protection.OFF) as (sender, reports),
        MemberOfCast(image, GROUP, reports, protection=Protection.OFF) as member,
    ):
        await member.join(sender)
        await member.until_complete()
        assert member.chunks[0] == image.frames[0]


async def test_nothing_hangs_where_timed_waits_for_locks_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under libfaketime, which forges the clock, and not the moment at which such a wait is to end."""
    wait = threading.Event.wait
    monkeypatch.setattr(threading.Event, "wait", lambda event, timeout=None: wait(event))
    with (
        StoredImage(*[90_000] * 3) as image,
        cast_sender(image, GROUP) as (sender, reports),
        MemberOfCast(image, GROUP, reports) as member,
    ):
        await member.join(sender)
        await member.until_complete()
        assert [member.chunks[chunk] for chunk in range(3)] == image.frames


async def test_two_casts_on_one_group_and_port_do_not_mix() -> None:
    with (
        StoredImage(*[90_000] * 3) as image,
        StoredImage(*[90_000] * 3, seed=2) as foreign,
        cast_sender(image, GROUP) as (sender, reports),
        cast_sender(foreign, GROUP, key=bytes(32), cast_id=5) as (other_sender, other_reports),
        MemberOfCast(image, GROUP, reports) as mine,
        MemberOfCast(foreign, GROUP, other_reports, number=2, key=bytes(32), cast_id=5) as theirs,
    ):
        await mine.join(sender)
        await theirs.join(other_sender)
        await mine.until_complete()
        await theirs.until_complete()
        assert [mine.chunks[chunk] for chunk in range(3)] == image.frames
        assert [theirs.chunks[chunk] for chunk in range(3)] == foreign.frames
        assert mine.receiver.intake.counters.forged > 0


async def test_forgeries_at_any_rate_put_nothing_into_a_chunk() -> None:
    rng = random.Random(7)
    with (
        StoredImage(*[300_000] * 4) as image,
        cast_sender(image, GROUP, rate_bytes_per_s=20e6) as (sender, reports),
        MemberOfCast(image, GROUP, reports) as member,
        forger() as injector,
    ):
        await member.join(sender)
        while len(member.chunks) < 4:
            injector.send(memoryview(rng.randbytes(44 * 1424)), 1424)
            injector.send(memoryview(rng.randbytes(72)), 72)
            await asyncio.sleep(0.002)
        assert [member.chunks[chunk] for chunk in range(4)] == image.frames
        assert member.receiver.intake.counters.forged > 0
        assert member.reception.figures.malformed == 0


@contextlib.contextmanager
def forger() -> Iterator[GroupSender]:
    with GroupSender(GROUP, find_interface("lo")) as sender:
        yield sender


async def test_numbers_wrap_at_32_bits_without_loss() -> None:
    with (
        StoredImage(300_000) as image,
        cast_sender(image, GROUP, first_sequence=2**32 - 100) as (sender, reports),
        MemberOfCast(image, GROUP, reports, sequence=2**32 - 101) as member,
    ):
        await member.join(sender)
        await member.until_complete()
        assert member.chunks[0] == image.frames[0]
        assert member.reception.tracker.lost == 0


async def test_fewer_slots_than_chunks_never_stop_anything() -> None:
    with (
        StoredImage(*[100_000] * 12) as image,
        cast_sender(image, GROUP) as (sender, reports),
        MemberOfCast(image, GROUP, reports, slots=1, authenticator=Lossy(0.02, 3)) as member,
    ):
        await member.join(sender)
        await member.until_complete()
        assert [member.chunks[chunk] for chunk in range(12)] == image.frames


class Held(CarterWegman):
    """Waits until all was sent, and calls the machine while the next batch is checked."""

    def __init__(self, sent: Callable[[], bool]) -> None:
        super().__init__(KEY)
        self._sent = sent
        self.member: MemberOfCast | None = None
        self.batches = 0
        self.called_after: list[int] = []

    def check(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        if len(packets) > 1:
            self.batches += 1
            while self.batches == 1 and not self._sent():
                pass
            if self.batches == 2 and self.member is not None:
                self.member.receiver.call(lambda reception, now: self.called_after.append(self.batches))
        return super().check(packets, sequences)


async def test_calls_such_as_those_that_give_slots_do_not_wait_for_all_that_waits_in_the_socket() -> None:
    with StoredImage(*[600_000] * 16) as image, cast_sender(image, GROUP, rate_bytes_per_s=500e6) as (sender, reports):
        held = Held(
            lambda: sender.call(lambda cast, now: cast.chunks_wanted == 0).result() and not sender._cast._current
        )
        with MemberOfCast(image, GROUP, reports, authenticator=held) as member:
            if member.receiver._socket.buffer_bytes < 20_000_000:
                pytest.skip("the system grants no large buffers: net.core.rmem_max")
            held.member = member
            await member.join(sender)
            await member.until(lambda: bool(held.called_after))
            assert held.called_after == [2]
            await member.until_complete()
            assert held.batches > 2, "more waited when it was called"


async def test_a_slot_can_be_taken_back_while_it_waits() -> None:
    with StoredImage(5000) as image, cast_sender(image, GROUP) as (_, reports):
        member = MemberOfCast(image, GROUP, reports, slots=2)
        first = await member.receiver.take_back()
        second = await member.receiver.take_back()
        assert first is not None
        assert second is not None
        assert await member.receiver.take_back() is None
        first.release()
        second.release()
        member.stop()


async def test_stopping_midway_gives_every_slot_back_and_may_be_repeated() -> None:
    with (
        StoredImage(*[400_000] * 8) as image,
        cast_sender(image, GROUP, rate_bytes_per_s=5e6) as (sender, reports),
    ):
        member = MemberOfCast(image, GROUP, reports, authenticator=Lossy(0.05, 4))
        await member.join(sender)
        await member.until(lambda: len(member.chunks) >= 1)
        member.stop()
        assert member.receiver.stop() == []
        assert not member.receiver.running


async def test_a_sender_that_ends_and_one_that_dies_raise_their_alarms() -> None:
    with StoredImage(*[400_000] * 8) as image:
        with cast_sender(image, GROUP, rate_bytes_per_s=4e6) as (sender, reports):
            member = MemberOfCast(image, GROUP, reports)
            await member.join(sender)
            await member.until(lambda: len(member.chunks) >= 1)
        await member.until(lambda: Alarm.CLOSING in member.alarms)
        await member.until(lambda: Alarm.SILENT in member.alarms)
        assert member.receiver.counters.rejoins >= 1
        assert member.troubles == []
        member.stop()


async def test_a_fault_is_told_and_closes_everything() -> None:
    class Faulty(CarterWegman):
        def check(self, packets: Any, sequences: Any) -> NDArray[np.bool_]:
            raise RuntimeError("a fault")

    with (
        StoredImage(50_000) as image,
        cast_sender(image, GROUP) as (sender, reports),
        MemberOfCast(image, GROUP, reports, authenticator=Faulty(KEY)) as member,
    ):
        await member.join(sender)
        await member.until(lambda: bool(member.troubles))
        assert "a fault" in member.troubles[0].message
        assert member.receiver.counters.crashes == 1


async def test_an_address_reports_cannot_go_to_is_refused() -> None:
    with pytest.raises(LocalError, match="cannot send reports to 255"):
        _report_socket(("255.255.255.255", 9))


async def test_a_call_nobody_waits_for_is_told_when_it_fails_and_not_when_it_comes_too_late() -> None:
    with StoredImage(5000) as image, cast_sender(image, GROUP) as (_, reports):
        member = MemberOfCast(image, GROUP, reports)
        member.receiver.tell(lambda reception: reception.handle_accepted(99))
        await member.until(lambda: bool(member.troubles))
        assert "a call failed by a fault of this program: IndexError" in member.troubles[0].message
        assert member.receiver.counters.crashes == 1
        assert member.receiver.running
        member.stop()
        member.receiver.tell(lambda reception: reception.handle_accepted(99))
        assert member.receiver.counters.crashes == 1


async def test_a_chunk_that_cannot_be_decoded_is_handed_over_for_its_digest_to_say_so() -> None:
    class Faulty(CauchyCode):
        def decode_frame(self, *_: Any, **__: Any) -> int:
            raise RuntimeError("a fault")

    with StoredImage(5000) as image, cast_sender(image, GROUP) as (_, reports):
        member = MemberOfCast(image, GROUP, reports)
        member.receiver._code = Faulty()
        repairs = Repairs(rows=np.array([1]), symbols=np.array([200]))
        ready = Ready(chunk=0, slot=0, layout=Layout(5000, SYMBOL_BYTES), encoding=0, repairs=repairs)
        member.receiver._hand_over(ready)
        await member.until(lambda: bool(member.troubles))
        assert 0 in member.chunks
        assert "a chunk cannot be decoded by a fault of this program" in member.troubles[0].message
        assert member.receiver.counters.mended_symbols == 0
        member.stop()


async def test_what_comes_fast_gathers_and_what_comes_slowly_does_not() -> None:
    fast = 25_000_000
    assert pause_s(fast // 10, 0.1, most=4 << 20) == GATHER_S
    assert pause_s(fast // 2, 0.1, most=4 << 20) == pytest.approx((4 << 20) / (5 * fast)), "no more than fits"
    assert pause_s(FEW_BYTES_PER_S // 10 - 1, 0.1, most=4 << 20) == GATHER_FEW_S
    assert pause_s(0, 0.1, most=4 << 20) == GATHER_FEW_S


async def test_a_chunk_that_is_handed_over_when_all_has_stopped_is_nobodys() -> None:
    with StoredImage(5000) as image, cast_sender(image, GROUP) as (_, reports):
        member = MemberOfCast(image, GROUP, reports)
        taken: list[object] = []
        member.receiver._on_chunk = taken.append
        none = Repairs(rows=np.zeros(0, dtype=np.int64), symbols=np.zeros(0, dtype=np.int64))
        ready = Ready(chunk=0, slot=0, layout=Layout(5000, SYMBOL_BYTES), encoding=0, repairs=none)
        member.receiver._post(lambda: member.receiver._hand_over(ready))  # done when this test waits
        member.stop()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert taken == []


@pytest.mark.root
@apart
async def test_an_interface_that_vanishes_is_told_in_words() -> None:
    def work() -> None:
        asyncio.run(until_it_vanishes())

    async def until_it_vanishes() -> None:
        near = find_interface(INTERFACE)
        with (
            StoredImage(*[400_000] * 8) as image,
            cast_sender(image, GROUP, interface=near, rate_bytes_per_s=4e6) as (sender, reports),
            MemberOfCast(image, GROUP, reports, interface=near) as member,
        ):
            await member.join(sender)
            await member.until(lambda: len(member.chunks) >= 1)
            ip("link", "del", INTERFACE)
            await member.until(lambda: bool(member.troubles))
            assert "again" in member.troubles[0].message
            await member.until(lambda: Alarm.SILENT in member.alarms)

    await asyncio.to_thread(run_apart, work)
