"""Two coupled machines bring every chunk, at any split, with any cut, and leak no slot."""

from __future__ import annotations

import itertools
import random

import pytest

from core.arena import Arena
from core.errors import ChunkError, ConnectionFailedError, ProtocolError, TransferError
from core.wantmap import WantMap
from images.stores import Encoding
from tests.helpers.unicast_link import Link, make_client
from transports.conformance.sample import CHUNK_BYTES, sample_image
from transports.unicast.proto.frames import Header, Op, Status
from transports.unicast.proto.messages import Opened, reply_to


def _arena(slots: int = 4) -> Arena:
    return Arena(slot_bytes=CHUNK_BYTES, slots=slots)


@pytest.mark.parametrize("seed", range(5))
def test_every_chunk_comes_once_at_any_split_of_the_stream(seed: int) -> None:
    source = random.Random(seed)

    def split(data: bytes) -> list[bytes]:
        edges = sorted([0, len(data), *(source.randrange(len(data) + 1) for _ in range(6))])
        return [data[start:stop] for start, stop in itertools.pairwise(edges)]

    manifest, store, raws = sample_image(chunks=30, seed=seed)
    want, arena = WantMap(30), _arena()
    with store:
        link = Link(manifest, store, want, arena, split=split)
        link.run()
    assert sorted(link.taken) == list(range(len(raws)))
    assert link.client.failed is None
    assert arena.free == arena.slots


def test_the_traffic_of_a_transfer_is_what_the_protocol_needs() -> None:
    # Changes here are changes of traffic: explain them in docs/wire-unicast.md.
    manifest, store, _ = sample_image(chunks=30)
    with store:
        link = Link(manifest, store, WantMap(30), _arena())
        link.run()
    assert link.messages == {"up": 12, "down": 34}


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_link_cut_before_any_message_loses_nothing(direction: str) -> None:
    manifest, store, _ = sample_image(chunks=8)
    with store:
        whole = Link(manifest, store, WantMap(8), _arena(2))
        whole.run()
        for number in range(whole.messages[direction]):
            want, arena = WantMap(8), _arena(2)
            broken = Link(
                manifest, store, want, arena, cut=lambda way, count, at=number: way == direction and count == at
            )
            broken.run()
            assert isinstance(broken.client.failed, ConnectionFailedError) or broken.client.finished
            assert arena.free == arena.slots
            again = Link(manifest, store, want, arena)
            again.run()
            assert again.client.finished
            assert sorted(broken.taken + again.taken) == list(range(8))
            assert arena.free == arena.slots


def test_a_chunk_always_refused_is_given_up_by_name() -> None:
    manifest, store, _ = sample_image(chunks=12)
    arena = _arena()
    with store:
        link = Link(manifest, store, WantMap(12), arena)
        link.run(judge=lambda received: received.chunk != 5)
    assert isinstance(link.client.failed, ChunkError)
    assert "chunk 5" in str(link.client.failed)
    assert len(link.taken) == 11
    assert arena.free == arena.slots


def _opened(want: WantMap | None = None) -> Link:
    manifest, store, _ = sample_image(chunks=8)
    link = Link(manifest, store, want or WantMap(8), _arena())
    for _ in range(3):
        while (data := link.client.poll_bytes()) is not None:
            link.server.handle_bytes(data, 0.0)
        link.client.handle_bytes(link.server.poll_control() or b"", 0.0)
    link._feed_slots()
    store.close()
    return link


@pytest.mark.parametrize(
    "frame",
    [
        Header(op=Op.READ, reply=True, subject=8, length=5).encode(),
        Header(op=Op.READ, reply=True, subject=7, length=5).encode(),
        Header(op=Op.READ, reply=True, subject=0, length=CHUNK_BYTES + 1).encode(),
        Header(op=Op.READ, reply=True, subject=7, status=Status.DAMAGED).encode(),
        reply_to(Header(op=Op.OPEN), Opened(chunks=8, raw_bytes=1).encode()),
        reply_to(Header(op=Op.CANCEL), bytes(4)),
        reply_to(Header(op=Op.LOCK), bytes(4)),
        Header(op=Op.ECHO).encode(),
        Header(op=Op.WRITE, encoding=Encoding.RAW, length=40).encode() + bytes(40),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_a_server_that_breaks_the_protocol_is_left(frame: bytes) -> None:
    link = _opened()
    link.client.handle_bytes(frame, 0.0)
    assert isinstance(link.client.failed, ProtocolError)
    link.client.release_all()
    assert link.arena.free == link.arena.slots


def test_a_server_with_another_image_is_left() -> None:
    link = _opened(WantMap(9))
    assert isinstance(link.client.failed, ProtocolError)


def test_a_broken_lease_is_told_with_its_reason() -> None:
    link = _opened()
    link.server.handle_break(Status.CLOSED, "the operator said so")
    link.client.handle_bytes(link.server.poll_control() or b"", 0.0)
    assert isinstance(link.client.failed, TransferError)
    assert "the operator said so" in str(link.client.failed)


def test_waiting_for_a_turn_is_visible_and_over_with_the_first_chunk() -> None:
    link = _opened()
    link.client.handle_bytes(Header(op=Op.WAIT, subject=4).encode(), 0.0)
    assert (link.client.waiting, link.client.waited) == (4, 1)
    link.client.handle_bytes(Header(op=Op.READ, reply=True, subject=0, length=1).encode() + b"x", 0.0)
    assert link.client.waiting == 0


def test_silence_is_asked_about_and_then_ends_the_lane() -> None:
    link = _opened()
    while link.client.poll_bytes() is not None:
        pass
    asked = False
    for second in range(1, 40):
        link.client.handle_timer(float(second))
        data = link.client.poll_bytes()
        asked = asked or (data is not None and Header.parse(data[:24]).op is Op.ECHO)
    assert asked
    assert isinstance(link.client.failed, ConnectionFailedError)


def test_a_server_that_never_answers_is_left() -> None:
    manifest, store, _ = sample_image(chunks=2)
    store.close()
    client = make_client(manifest, WantMap(2))
    client.handle_timer(client.deadline)
    client.handle_timer(30.0)
    assert isinstance(client.failed, ConnectionFailedError)
