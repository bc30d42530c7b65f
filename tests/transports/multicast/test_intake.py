"""Packets from a real socket: good ones are placed, all others change only a counter."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from core.contention import Contention
from tests.support.casts import CAST_ID, KEY, SYMBOL_BYTES, member_key
from transports.multicast.authenticator import TAG_BYTES, CarterWegman, NoAuthenticator, PacketAuthenticator
from transports.multicast.fec.isal import find_code
from transports.multicast.intake import CONTROLS_MAX, Intake
from transports.multicast.mending import mend
from transports.multicast.proto.layout import Layout
from transports.multicast.proto.limits import HEADER_BYTES, VERSION
from transports.multicast.proto.packets import Kind, Probe, Status, StatusFlags, write_headers
from transports.multicast.proto.received import Placement
from transports.multicast.proto.reception import Reception
from transports.multicast.proto.trust import FIRST_PACKETS, LONGER
from transports.multicast.udp.group import Group
from transports.multicast.udp.incoming import GroupReceiver
from transports.multicast.udp.interface import find_interface
from transports.multicast.udp.outgoing import GroupSender

GROUP = Group(address="239.77.4.1", port=20_000 + os.getpid() % 10_000)
"""Another in each process: what other tests send would come here as well."""
LAYOUT = Layout(60 * SYMBOL_BYTES, SYMBOL_BYTES)
PACKET_BYTES = HEADER_BYTES + SYMBOL_BYTES + TAG_BYTES
START = 2**32 - 20
"""Numbers wrap within the first train."""


@dataclass
class Bench:
    """A sender's socket at one end, an intake at the other."""

    sender: GroupSender
    intake: Intake
    reception: Reception
    memory: dict[int, NDArray[np.uint8]]
    frame: NDArray[np.uint8]
    socket: GroupReceiver

    def train(
        self, rows: list[int], *, key: bytes = KEY, first: int = START, cast_id: int = CAST_ID
    ) -> NDArray[np.uint8]:
        packets = np.zeros((len(rows), PACKET_BYTES), dtype=np.uint8)
        at = np.array(rows)
        write_headers(
            packets,
            cast_id=cast_id,
            first_sequence=first,
            chunk=0,
            blocks=(at % LAYOUT.blocks).astype(np.uint8),
            symbols=(at // LAYOUT.blocks).astype(np.uint8),
            stored_bytes=LAYOUT.stored_bytes,
            encoding=0,
        )
        packets[:, HEADER_BYTES:-TAG_BYTES] = self.frame[at % len(self.frame)]
        CarterWegman(key).seal(packets, np.arange(first, first + len(rows), dtype=np.uint64))
        return packets

    def send(self, packets: NDArray[np.uint8]) -> None:
        self.sender.send(memoryview(np.ascontiguousarray(packets)).cast("B"), packets.shape[1])

    def take_all(self) -> None:
        while self.socket.wait(0.3):
            self.intake.take(time.monotonic())

    @property
    def untouched(self) -> bool:
        return self.reception.figures.stored == 0 and not self.memory[0].any()


def _sealed(message: Probe | Status) -> bytes:
    packet = np.frombuffer(message.encode() + bytes(TAG_BYTES), dtype=np.uint8).copy().reshape(1, -1)
    CarterWegman(KEY).seal(packet, np.array([message.sequence], dtype=np.uint64))
    return packet.tobytes()


def make(merge: bool, authenticator: PacketAuthenticator | None = None) -> Iterator[Bench]:
    reception = Reception(
        cast_id=CAST_ID,
        member=1,
        key=member_key(1),
        symbol_bytes=SYMBOL_BYTES,
        wanted=np.ones(4, dtype=np.bool_),
        slot_bytes=LAYOUT.padded_bytes,
        slots=1,
        sequence=START - 1,
        interval_s=0.1,
        rng=random.Random(1),
        now=time.monotonic(),
    )
    reception.handle_slot(0)
    memory = {0: np.zeros((LAYOUT.symbols, SYMBOL_BYTES), dtype=np.uint8)}
    frame = np.random.default_rng(3).integers(1, 256, (LAYOUT.symbols, SYMBOL_BYTES), dtype=np.uint8)
    lo = find_interface("lo")
    with GroupReceiver(GROUP, lo, merge=merge) as socket, GroupSender(GROUP, lo) as sender:
        intake = Intake(
            reception,
            socket=socket,
            authenticator=authenticator or CarterWegman(KEY),
            memory=memory,
            symbol_bytes=SYMBOL_BYTES,
        )
        yield Bench(sender, intake, reception, memory, frame, socket)


@pytest.fixture(params=[True, False], ids=["merged", "one-by-one"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield from make(request.param)


def test_a_chunk_sent_out_of_order_and_across_the_wrap_is_placed_whole(bench: Bench) -> None:
    order = list(range(60))
    random.Random(5).shuffle(order)
    bench.send(bench.train(order[:44]))
    bench.send(bench.train(order[44:], first=START + 44))
    bench.take_all()
    assert bench.memory[0].tobytes() == bench.frame.tobytes()
    assert bench.reception.poll_ready() is not None
    assert (bench.intake.counters.forged, bench.intake.counters.odd) == (0, 0)
    assert bench.reception.highest == START + 59


def test_a_short_packet_right_behind_a_train_is_taken_for_itself(bench: Bench) -> None:
    probe = Probe(cast_id=CAST_ID, sequence=START + 10, number=1, left=0)
    train = bench.train(list(range(10)))
    bench.sender.send(memoryview(train.tobytes() + _sealed(probe)), PACKET_BYTES)
    bench.take_all()
    assert bench.reception.figures.stored == 10
    assert bench.reception.figures.probes == 1


def test_forged_packets_change_nothing_but_a_counter_and_are_no_sign_of_life(bench: Bench) -> None:
    due = bench.reception.poll_timer()
    bench.send(bench.train(list(range(20)), key=bytes(32)))
    damaged = bench.train(list(range(20, 40)))
    damaged[:, 700] ^= 1
    bench.send(damaged)
    replayed_under_other_numbers = bench.train(list(range(10)))
    replayed_under_other_numbers[:, 4] ^= 1
    bench.send(replayed_under_other_numbers)
    bench.take_all()
    assert bench.untouched
    assert bench.reception.poll_timer() == due
    assert bench.intake.counters.forged == 50
    assert bench.reception.highest == START - 1


def test_forgeries_among_good_packets_fall_alone(bench: Bench) -> None:
    packets = bench.train(list(range(30)))
    packets[7:9, 100] ^= 255
    bench.send(packets)
    bench.take_all()
    assert bench.reception.figures.stored == 28
    assert bench.intake.counters.forged == 2
    assert not bench.memory[0][7:9].any()
    kept = [*range(7), *range(9, 30)]
    assert np.array_equal(bench.memory[0][kept], bench.frame[kept])


class Load(Contention):
    """Of a machine that is as it is said to be."""

    def __init__(self, *, busy: bool) -> None:
        super().__init__()
        self._said = busy

    @property
    def busy(self) -> bool:
        return self._said


@pytest.fixture
def trusting(bench: Bench) -> Bench:
    """One on a busy machine that has taken as many good packets as it needs to take what follows on trust."""
    bench.intake._trust.handle_good(FIRST_PACKETS)
    bench.intake._contention = Load(busy=True)
    return bench


def altered(packets: NDArray[np.uint8], *rows: int) -> NDArray[np.uint8]:
    """Other symbols behind good headers in these rows."""
    packets[list(rows), 100] ^= 255
    return packets


def test_on_trust_symbols_are_left_to_the_digest_of_their_chunk(trusting: Bench) -> None:
    trusting.send(altered(trusting.train(list(range(30))), 7))
    trusting.take_all()
    assert trusting.reception.figures.stored == trusting.intake.counters.trusted == 30
    assert trusting.intake.counters.forged == 0
    assert np.flatnonzero((trusting.memory[0] != trusting.frame).any(axis=1)).tolist() == [7, *range(30, 60)]


def test_where_there_is_something_to_spare_every_symbol_is_authenticated(trusting: Bench) -> None:
    trusting.intake._contention = Load(busy=False)
    trusting.send(altered(trusting.train(list(range(30))), 7))
    trusting.take_all()
    assert (trusting.intake.counters.forged, trusting.intake.counters.trusted) == (1, 0)
    assert not trusting.memory[0][7].any()


def test_without_an_authenticator_nothing_is_taken_on_trust(trusting: Bench) -> None:
    trusting.intake._authenticator = NoAuthenticator()
    trusting.send(trusting.train(list(range(30))))
    trusting.take_all()
    assert (trusting.reception.figures.stored, trusting.intake.counters.trusted) == (30, 0)


def test_a_machine_counts_as_having_something_to_spare_until_it_is_known(bench: Bench) -> None:
    assert not bench.intake._contention.busy


def test_a_chunk_is_proven_if_none_of_its_symbols_was_taken_on_trust(trusting: Bench) -> None:
    trusting.send(trusting.train(list(range(44))))
    trusting.take_all()
    trusting.intake._trust.handle_forged()
    trusting.send(trusting.train(list(range(44, 60)), first=START + 44))
    trusting.take_all()
    ready = trusting.reception.poll_ready()
    assert ready is not None
    assert not ready.proven


def test_a_chunk_that_was_authenticated_as_a_whole_is_proven(bench: Bench) -> None:
    bench.send(bench.train(list(range(44))))
    bench.send(bench.train(list(range(44, 60)), first=START + 44))
    bench.take_all()
    ready = bench.reception.poll_ready()
    assert ready is not None
    assert ready.proven


def test_trains_that_were_overheard_and_sent_again_earn_no_trust(bench: Bench) -> None:
    bench.intake._trust._needed = 40
    for _ in range(4):
        bench.send(bench.train(list(range(30))))
        bench.take_all()
    assert not bench.intake._trust.given
    bench.send(bench.train(list(range(30, 40)), first=START + 30))
    bench.take_all()
    assert bench.intake._trust.given


def test_one_forged_header_has_all_that_came_with_it_checked(trusting: Bench) -> None:
    packets = altered(trusting.train(list(range(30))), 7, 8)
    packets[20, 9] ^= 1
    trusting.send(packets)
    trusting.take_all()
    assert trusting.reception.figures.stored == 27
    assert (trusting.intake.counters.forged, trusting.intake.counters.trusted) == (3, 0)
    assert not trusting.memory[0][[7, 8, 20]].any()
    assert not trusting.intake._trust.given


def test_another_symbol_behind_a_header_that_was_overheard_changes_nothing(trusting: Bench) -> None:
    """Whether this member had the packet the header is from, or had lost it."""
    packets = trusting.train(list(range(30)))
    trusting.send(np.delete(packets, 12, axis=0))
    trusting.take_all()
    trusting.send(altered(packets.copy(), 11, 12)[11:13])
    trusting.take_all()
    assert trusting.reception.figures.stored == trusting.intake.counters.trusted == 29
    assert trusting.intake.counters.forged == 2
    assert not trusting.memory[0][12].any()
    assert np.array_equal(trusting.memory[0][11], trusting.frame[11])


def test_forged_news_and_a_chunk_that_failed_end_the_trust(trusting: Bench) -> None:
    forged = bytearray(_sealed(Probe(cast_id=CAST_ID, sequence=START + 1, number=1, left=0)))
    forged[-1] ^= 1
    trusting.sender.send(memoryview(bytes(forged)), len(forged))
    trusting.take_all()
    assert not trusting.intake._trust.given
    trusting.intake._trust.handle_good(LONGER * FIRST_PACKETS)
    trusting.reception.figures.rejected += 1
    trusting.send(altered(trusting.train(list(range(30))), 7))
    trusting.take_all()
    assert trusting.intake.counters.trusted == 0
    assert not trusting.memory[0][7].any()


def test_replayed_trains_are_surplus(bench: Bench) -> None:
    train = bench.train(list(range(30)))
    for _ in range(3):
        bench.send(train)
    bench.take_all()
    assert bench.reception.figures.stored == 30
    assert bench.reception.tracker.repeated == 60


def test_packets_of_another_cast_with_the_same_key_are_malformed(bench: Bench) -> None:
    bench.send(bench.train(list(range(5)), cast_id=CAST_ID + 1))
    bench.take_all()
    assert bench.untouched
    assert bench.reception.figures.malformed == 5


@pytest.mark.parametrize("length", [1, 8, 15, 23, 64, 65, PACKET_BYTES - 8, PACKET_BYTES + 8])
def test_packets_of_any_other_length_change_nothing(bench: Bench, length: int) -> None:
    rng = np.random.default_rng(length)
    bench.send(rng.integers(0, 256, (3, length), dtype=np.uint8))
    bench.send(np.zeros((1, length), dtype=np.uint8))
    bench.take_all()
    assert bench.untouched
    # joined, they come in pieces that are cut where packets of the cast would end
    assert 2 <= bench.intake.counters.forged + bench.intake.counters.odd <= 8


def test_a_flood_of_short_packets_is_bounded(bench: Bench) -> None:
    flood = np.zeros((40, 24 + TAG_BYTES), dtype=np.uint8)
    flood[:, 0] = VERSION << 4 | Kind.PROBE
    for _ in range(2 * CONTROLS_MAX // 40 + 1):
        bench.send(flood)
    bench.take_all()
    counters = bench.intake.counters
    assert 0 < counters.forged <= CONTROLS_MAX * counters.batches
    assert counters.odd > 0
    assert bench.untouched


def test_a_flood_of_short_packets_ends_a_batch_as_any_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.multicast.intake.BATCH_BYTES", 1000)
    for _ in range(3):
        bench.send(np.zeros((40, 32), dtype=np.uint8))
    assert bench.socket.wait(1)
    assert bench.intake.take(0.0)
    assert bench.intake.counters.bytes < 3 * 40 * 32


def test_a_flood_of_empty_packets_lets_go_of_the_thread(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """They fill no batch, and may come faster than they are taken."""
    monkeypatch.setattr(bench.socket, "receive", lambda room: 0)
    assert bench.intake.take(0.0)
    assert 0 < bench.intake.counters.trains < 10_000
    assert bench.untouched


def test_what_the_socket_dropped_reaches_the_machine() -> None:
    for bench in make(merge=False):
        bench.socket._socket.setsockopt(1, 8, 4096)  # SOL_SOCKET, SO_RCVBUF
        bench.send(bench.train(list(range(44))))
        bench.take_all()
        lost = 44 - bench.reception.figures.stored
        bench.send(bench.train([50], first=START + 44))
        bench.take_all()
        assert 0 < lost == bench.reception.figures.overflow == bench.reception.tracker.lost


def test_rows_of_two_chunks_that_follow_each_other_stay_apart(bench: Bench) -> None:
    bench.memory[1] = np.zeros_like(bench.memory[0])
    symbols = bench.frame[:4]
    first = Placement(slot=0, packets=slice(0, 2), rows=np.array([4, 5]))
    bench.intake._copy(symbols, [first, Placement(slot=1, packets=np.array([2, 3]), rows=np.array([6, 7]))])
    assert np.array_equal(bench.memory[0][4:6], symbols[:2])
    assert np.array_equal(bench.memory[1][6:8], symbols[2:])
    assert not bench.memory[0][6:].any()


def test_a_train_that_the_socket_dropped_counts_as_long_as_those_that_came(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    drops = iter([3, 0, 2])
    monkeypatch.setattr(bench.socket, "overflows", lambda: next(drops))
    bench.send(bench.train(list(range(20))))
    assert bench.socket.wait(1)
    for _ in range(3):  # two with nothing in them
        bench.intake.take(0.0)
    each = 20 if bench.socket.merging else 1
    assert bench.reception.figures.overflow == 3 * each + 2


PROBES_OF_A_PACKET = PACKET_BYTES // (24 + TAG_BYTES)


@pytest.mark.parametrize("count", [5, PROBES_OF_A_PACKET + 1], ids=["few", "longer than a packet"])
def test_probes_that_the_kernel_joined_are_told_apart(bench: Bench, count: int) -> None:
    probes = (Probe(cast_id=CAST_ID, sequence=START + n, number=n + 1, left=0) for n in range(count))
    bench.sender.send(memoryview(b"".join(map(_sealed, probes))), 24 + TAG_BYTES)
    bench.take_all()
    assert bench.reception.figures.probes == count
    assert (bench.intake.counters.forged, bench.intake.counters.odd) == (0, 0)


def test_a_probe_that_the_kernel_joined_to_a_status_is_taken_too(bench: Bench) -> None:
    """The last packet of those that are joined may be a shorter one."""
    status = Status(
        cast_id=CAST_ID,
        sequence=START,
        time_us=1,
        pace_bytes_per_s=1000,
        chunks_wanted=1,
        repairs_pending=0,
        report_interval_ms=100,
        round_trip_ms=1,
        members=1,
        flags=StatusFlags.NONE,
    )
    probe = Probe(cast_id=CAST_ID, sequence=START + 1, number=1, left=0)
    bench.sender.send(memoryview(_sealed(status) + _sealed(probe)), len(_sealed(status)))
    bench.take_all()
    assert bench.reception.status == status
    assert bench.reception.figures.probes == 1
    assert (bench.intake.counters.forged, bench.intake.counters.odd) == (0, 0)


@pytest.mark.parametrize("forged", [0, 1])
def test_the_parity_behind_a_chunk_is_placed_with_it(bench: Bench, forged: int) -> None:
    """What follows the originals in one train: a part of it is taken, and nothing else is put elsewhere for it."""
    code = find_code()
    packets = bench.train([*range(60), *range(60, 64)])
    packets[60:, HEADER_BYTES:-TAG_BYTES] = code.encode(bench.frame, [60, 61, 62, 63])
    CarterWegman(KEY).seal(packets, np.arange(START, START + 64, dtype=np.uint64))
    packets[:forged, HEADER_BYTES] ^= 1
    bench.send(np.delete(packets, [3, 17, 41], axis=0))
    bench.take_all()
    ready = bench.reception.poll_ready()
    assert ready is not None
    assert mend(bench.memory[0], ready.layout, ready.repairs, code) == 3 + forged
    assert bench.memory[0].tobytes() == bench.frame.tobytes()
    assert (bench.reception.figures.surplus, bench.intake.counters.forged) == (1 - forged, forged)
