from __future__ import annotations

from collections.abc import Sequence

from bench.simnet.clock import Clock
from bench.simnet.swarm.uploads import Uploads
from bench.simnet.swarm.wire import Port, Wire
from transports.p2p.proto.slots import UploadSlots
from transports.unicast.proto.turn_taking import TURN_S

CHUNK = 1 << 20
RATE = 10 * CHUNK


class Taker:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.heard: list[tuple[str, int, float]] = []

    def path_from(self, source: int) -> Sequence[Port]:
        return [Port(100 * RATE)]

    def handle_train(self, source: int, chunk: int, count: int, *, last: bool) -> None:
        if last:
            self.heard.append(("chunk", chunk, self.clock.now))

    def handle_returned(self, source: int, chunk: int) -> None:
        self.heard.append(("returned", chunk, self.clock.now))

    def handle_refused(self, source: int, chunk: int) -> None:
        self.heard.append(("refused", chunk, self.clock.now))

    def handle_turn(self, source: int) -> None:
        self.heard.append(("turn", -1, self.clock.now))

    def handle_waiting(self, source: int, *, waiting: bool) -> None:
        self.heard.append(("waits" if waiting else "served", -1, self.clock.now))

    @property
    def words(self) -> list[tuple[str, int]]:
        return [(word, chunk) for word, chunk, _ in self.heard]


def make(takers: int, *, slots: int, holds: set[int] | None = None) -> tuple[Clock, Uploads, list[Taker]]:
    clock = Clock()
    uploads = Uploads(
        clock,
        Wire(clock, RATE, train_bytes=CHUNK // 8, delay_s=0.0),
        source=7,
        slots=UploadSlots(slots),
        length_of=lambda chunk: CHUNK,
        holds=lambda chunk: holds is None or chunk in holds,
        delay_s=0.0,
    )
    found = [Taker(clock) for _ in range(takers)]
    for number, taker in enumerate(found):
        uploads.join(number, taker)
    return clock, uploads, found


def test_a_lane_gets_its_chunks_in_order() -> None:
    clock, uploads, [taker] = make(1, slots=1)
    for chunk in (3, 1, 2):
        uploads.ask(0, chunk)
    clock.run(until=5)
    assert taker.words == [("chunk", 3), ("chunk", 1), ("chunk", 2)]


def test_no_more_than_the_slots_are_sent_to_at_a_time() -> None:
    clock, uploads, takers = make(3, slots=1)
    for number in range(3):
        uploads.ask(number, number)
    clock.run(until=5)
    times = sorted(time for taker in takers for word, _, time in taker.heard if word == "chunk")
    assert [round(time, 1) for time in times] == [0.1, 0.2, 0.3]


def test_what_is_taken_back_in_time_is_not_sent() -> None:
    clock, uploads, [taker] = make(1, slots=1)
    uploads.ask(0, 1)
    uploads.ask(0, 2)
    uploads.cancel(0, 2)
    uploads.cancel(0, 1)  # it is under way
    clock.run(until=5)
    assert sorted(taker.words) == [("chunk", 1), ("returned", 2)]
    assert uploads.chunks_sent == 1


def test_what_is_not_there_is_refused() -> None:
    clock, uploads, [taker] = make(1, slots=1, holds={1})
    uploads.ask(0, 2)
    uploads.ask(0, 1)
    clock.run(until=5)
    assert taker.words == [("refused", 2), ("chunk", 1)]


def test_who_waits_for_long_is_told_and_told_again_when_its_turn_comes() -> None:
    clock, uploads, takers = make(3, slots=1)
    uploads = uploads_of_slow_chunks(uploads)
    for number in range(3):
        uploads.ask(number, number)
    clock.run(until=20)
    assert takers[0].words == [("chunk", 0)]
    assert ("waits", -1) in takers[2].words
    assert takers[2].words[-2:] in ([("served", -1), ("chunk", 2)], [("chunk", 2), ("served", -1)])


def test_a_turn_is_given_to_one_after_the_other_as_each_says_what_it_wants() -> None:
    clock, uploads, takers = make(2, slots=1)
    uploads.ask_turn(0)
    uploads.ask_turn(1)
    clock.run(until=0.1)
    assert [taker.words for taker in takers] == [[("turn", -1)], []]
    uploads.ask(0, 4)
    clock.run(until=0.3)
    assert [taker.words for taker in takers] == [[("turn", -1), ("chunk", 4)], [("turn", -1)]]
    uploads.ask_turn(0)
    uploads.pass_turn(1)
    clock.run(until=0.4)
    assert takers[0].words[-1] == ("turn", -1)


def test_a_turn_that_is_not_answered_goes_to_others() -> None:
    clock, uploads, takers = make(2, slots=1)
    uploads.ask_turn(0)
    uploads.ask_turn(1)
    clock.run(until=TURN_S - 0.1)
    assert takers[1].words == []
    clock.run(until=TURN_S + 0.1)
    assert takers[1].words == [("turn", -1)]


def test_who_never_sends_gives_turns_all_the_same() -> None:
    clock, uploads, [taker] = make(1, slots=1)
    uploads.silent = True
    uploads.ask_turn(0)
    uploads.ask(0, 1)
    clock.run(until=0.5)
    assert taker.words == [("turn", -1)]


def uploads_of_slow_chunks(uploads: Uploads) -> Uploads:
    uploads._length_of = lambda chunk: 10 * CHUNK
    return uploads


def test_a_connection_that_broke_frees_its_slot() -> None:
    clock, uploads, takers = make(2, slots=1)
    uploads.ask(0, 0)
    uploads.ask(1, 1)
    clock.run(until=0.05)
    uploads.leave(0)
    clock.run(until=5)
    assert takers[0].words == []
    assert [(word, chunk) for word, chunk in takers[1].words if word == "chunk"] == [("chunk", 1)]
    assert uploads.receivers == [takers[1]]
