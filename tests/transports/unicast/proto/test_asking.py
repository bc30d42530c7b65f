"""A lane asks for what it is told, hears what a peer holds, and never owns a slot it does not account for."""

from __future__ import annotations

import pytest

from core.arena import Arena
from core.errors import ConnectionFailedError, ProtocolError
from images.manifest import Manifest
from images.stores import Encoding
from tests.helpers.unicast_link import KEY, SESSION, make_server, serve_bytes
from transports.conformance.sample import CHUNK_BYTES, SampleStore, sample_image
from transports.unicast.proto.answers import Event, Gone, Held, News, Received, Refused, Returned, Turn
from transports.unicast.proto.asking import AskingLane
from transports.unicast.proto.frames import Header, Op, Status, error_reply
from transports.unicast.proto.grants import Grant
from transports.unicast.proto.messages import pack_chunks, reply_to, request
from transports.unicast.proto.server import ServerLane


class Pair:
    """An asking lane coupled to a serving one."""

    def __init__(self, *, slots: int = 4, chunks: int = 8) -> None:
        self.manifest: Manifest
        self.store: SampleStore
        self.manifest, self.store, _ = sample_image(chunks=chunks)
        self.arena = Arena(slot_bytes=CHUNK_BYTES, slots=slots)
        self.unwanted: set[int] = set()
        self.server: ServerLane = make_server(Grant(key=KEY, image=self.manifest))
        self.lane = AskingLane(
            session_id=SESSION,
            key=KEY,
            nonce=b"c" * 32,
            root=self.manifest.root,
            chunks=chunks,
            raw_length=self.manifest.raw_length,
            wanted=lambda chunk: chunk not in self.unwanted,
            slot_bytes=CHUNK_BYTES,
            stall_s=30.0,
            now=0.0,
            other="peer 7",
        )

    def up(self) -> None:
        while (data := self.lane.poll_bytes()) is not None:
            self.server.handle_bytes(data, 0.0)

    def run(self) -> list[Event]:
        while True:
            self.up()
            frames = serve_bytes(self.server, self.store)
            for frame in frames:
                self.lane.handle_bytes(frame, 0.0)
            if not frames:
                break
        return self.events()

    def hear(self, data: bytes) -> list[Event]:
        self.lane.handle_bytes(data, 0.0)
        return self.events()

    def events(self) -> list[Event]:
        found = []
        while (event := self.lane.poll_event()) is not None:
            found.append(event)
        return found

    def ask(self, *chunks: int) -> None:
        for _ in chunks:
            slot = self.arena.try_acquire()
            assert slot is not None
            self.lane.handle_slot(slot)
        self.lane.ask(chunks, 0.0)


@pytest.fixture
def pair() -> Pair:
    pair = Pair()
    assert pair.run() == []
    assert pair.lane.opened
    return pair


def test_exactly_what_was_asked_for_comes(pair: Pair) -> None:
    pair.ask(5, 2)
    events = pair.run()
    assert sorted(event.chunk for event in events if isinstance(event, Received)) == [2, 5]
    for event in events:
        assert isinstance(event, Received)
        event.slot.release()
    assert pair.lane.spare == 0
    assert pair.arena.free == pair.arena.slots


def test_asking_for_more_than_there_is_memory_is_a_mistake(pair: Pair) -> None:
    with pytest.raises(ValueError, match="slots to spare"):
        pair.lane.ask([1], 0.0)


def test_a_cancelled_request_is_returned_and_its_slot_with_it(pair: Pair) -> None:
    pair.ask(1, 2)
    pair.up()
    pair.lane.cancel([2, 7], 0.0)
    events = pair.run()
    assert [event.chunk for event in events if isinstance(event, Returned)] == [2]
    slot = pair.lane.take_slot()
    assert slot is not None
    assert pair.lane.take_slot() is None
    slot.release()


def test_in_a_hurry_the_slot_of_a_request_taken_back_is_had_at_once_and_its_chunk_dropped_if_it_comes(
    pair: Pair,
) -> None:
    pair.ask(1, 2)
    assert pair.lane.take_slot(hurry=True) is None
    pair.up()
    frames = serve_bytes(pair.server, pair.store)  # both are on their way
    pair.lane.cancel([2], 0.0)
    assert pair.lane.take_slot() is None
    slot = pair.lane.take_slot(hurry=True)
    assert slot is not None
    assert pair.lane.take_slot(hurry=True) is None
    for frame in frames:
        pair.lane.handle_bytes(frame, 0.0)
    events = pair.events()
    assert [type(event) for event in events] == [Received, Returned]
    assert [event.chunk for event in events] == [1, 2]  # type: ignore[union-attr]
    slot.release()
    events[0].slot.release()  # type: ignore[union-attr]


def test_a_chunk_nobody_wants_when_it_comes_is_returned(pair: Pair) -> None:
    pair.ask(3)
    pair.unwanted.add(3)
    assert pair.run() == [Returned(chunk=3)]
    assert pair.lane.spare == 1


def test_a_chunk_that_is_not_there_costs_nothing_else(pair: Pair) -> None:
    pair.ask(3)
    pair.lane.poll_bytes()
    header = Header(op=Op.READ, subject=3)
    assert pair.hear(error_reply(header, Status.NOT_FOUND, "not held")) == [
        Refused(chunk=3, status=Status.NOT_FOUND, text="not held")
    ]
    pair.lane.ask([4], 0.0)  # with the slot of the other
    assert [event.chunk for event in pair.run() if isinstance(event, Received)] == [4]


def test_a_peer_says_what_it_holds_and_what_changes(pair: Pair) -> None:
    pair.lane.ask_map(0.0)
    sent = pair.lane.poll_bytes()
    assert sent is not None
    asked = Header.parse(sent[:24])
    assert asked.op is Op.MAP
    assert pair.hear(reply_to(asked, b"packed")) == [Held(packed=b"packed")]
    assert pair.hear(request(Op.NEWS, message=0, payload=pack_chunks([1, 7]))) == [News(chunks=[1, 7])]
    assert pair.hear(request(Op.GONE, message=0, payload=pack_chunks([1]))) == [Gone(chunks=[1])]


def test_a_turn_comes_once_for_each_time_it_was_asked_for(pair: Pair) -> None:
    pair.lane.ask_turn(0.0)
    sent = pair.lane.poll_bytes()
    assert sent is not None
    asked = Header.parse(sent)
    assert asked.op is Op.TURN
    assert pair.hear(reply_to(asked)) == [Turn()]
    pair.lane.pass_turn(0.0)
    passed = pair.lane.poll_bytes()
    assert passed is not None
    assert Header.parse(passed).op is Op.PASS
    assert pair.hear(reply_to(asked)) == []
    assert isinstance(pair.lane.failed, ProtocolError)


@pytest.mark.parametrize(
    "data",
    [
        request(Op.NEWS, message=0, payload=pack_chunks([8])),
        reply_to(Header(op=Op.MAP), b"not asked"),
        reply_to(Header(op=Op.TURN)),
        Header(op=Op.READ, reply=True, encoding=Encoding.RAW, subject=1, length=4).encode() + b"four",
        request(Op.READ, message=1, payload=pack_chunks([1])),
    ],
    ids=[
        "a chunk the image has not",
        "a map nobody asked for",
        "a turn nobody asked for",
        "a chunk nobody asked for",
        "a request",
    ],
)
def test_nonsense_ends_the_lane(pair: Pair, data: bytes) -> None:
    assert pair.hear(data) == []
    assert isinstance(pair.lane.failed, ProtocolError)


def test_a_broken_lane_says_who_and_gives_every_slot_back(pair: Pair) -> None:
    pair.ask(1, 2)
    pair.lane.handle_eof("reset")
    assert isinstance(pair.lane.failed, ConnectionFailedError)
    assert "peer 7" in str(pair.lane.failed)
    pair.lane.release_all()
    assert pair.arena.free == pair.arena.slots


@pytest.mark.parametrize("joined", [False, True])
def test_what_the_other_side_says_before_it_hangs_up_is_said_of_that_side(joined: bool) -> None:
    pair = Pair()
    if joined:
        pair.up()
    pair.hear(Header(op=Op.LEASE_BREAK, status=Status.BUSY).encode())
    assert str(pair.lane.failed) == "peer 7 ended the lane"


def test_what_is_asked_for_ahead_comes_into_slots_given_later_to_whoever_goes_on(pair: Pair) -> None:
    pair.lane.ask_ahead([3, 1], 0.0)
    assert pair.lane.under_way == 2
    pair.unwanted.add(3)
    pair.lane.hand_to(raw_length=pair.manifest.raw_length, wanted=lambda chunk: chunk != 1)
    for _ in range(2):
        slot = pair.arena.try_acquire()
        assert slot is not None
        pair.lane.handle_slot(slot)
    events = pair.run()
    assert {type(event).__name__: event.chunk for event in events if isinstance(event, Received | Returned)} == {
        "Received": 3,
        "Returned": 1,
    }


def test_a_frame_longer_than_its_slot_is_never_received(pair: Pair) -> None:
    pair.ask(5)
    pair.up()
    pair.hear(Header(op=Op.READ, reply=True, message=3, subject=5, length=CHUNK_BYTES + 1).encode())
    assert isinstance(pair.lane.failed, ProtocolError)
    assert "more than was said to be accepted" in str(pair.lane.failed)
    pair.lane.release_all()
    assert pair.arena.free == pair.arena.slots
