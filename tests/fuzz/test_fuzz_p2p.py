"""Parsers of the swarm fed with rubbish and damaged good input: a value or a documented error."""

from __future__ import annotations

import contextlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import OgcastError, ProtocolError
from images.stores import Encoding
from tests.transports.p2p.proto.test_messages import MESSAGES
from tests.transports.unicast.proto.test_asking import Pair
from transports.member.proto.framing import MessageReader, encode_message
from transports.member.proto.maps import pack_wants, unpack_wants
from transports.p2p.proto.credentials import lane_name, member_of
from transports.p2p.proto.holders import Holders
from transports.p2p.proto.messages import DECODER
from transports.unicast.proto.answers import Gone, Held, News, Received, Refused, Returned
from transports.unicast.proto.frames import Header, Op, Status
from transports.unicast.proto.messages import pack_chunks


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good message with some bytes changed, cut or added; or just bytes."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=100))
    data = bytearray(encode_message(draw(st.sampled_from(MESSAGES))))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=4))


@given(st.lists(damaged(), max_size=5))
def test_a_lane_gives_messages_or_a_protocol_error(pieces: list[bytes]) -> None:
    reader = MessageReader(DECODER)
    with contextlib.suppress(ProtocolError):
        for piece in pieces:
            reader.handle_bytes(piece)
            while (message := reader.poll_message()) is not None:
                assert DECODER.decode(encode_message(message)[4:]) == message


@given(st.text(max_size=20))
def test_a_lane_name_names_a_member_or_nobody(name: str) -> None:
    member = member_of(name)
    assert member is None or lane_name(member) == name


@given(st.binary(max_size=60), st.integers(0, 200))
def test_a_map_is_flags_of_the_image_or_a_protocol_error(data: bytes, chunks: int) -> None:
    with contextlib.suppress(ProtocolError):
        assert len(unpack_wants(data, chunks)) == chunks


@given(st.lists(st.booleans(), max_size=200), st.integers(0, 200), st.data())
def test_a_damaged_map_is_flags_of_the_image_or_a_protocol_error(
    flags: list[bool], chunks: int, data: st.DataObject
) -> None:
    packed = bytearray(pack_wants(np.array(flags, dtype=np.bool_)))
    for _ in range(data.draw(st.integers(0, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        assert len(unpack_wants(bytes(packed), chunks)) == chunks


@st.composite
def spoken(draw: st.DrawFn) -> bytes:
    """What a serving peer might say: maps, changes, chunks, refusals, right and wrong."""
    payload = draw(
        st.one_of(
            st.lists(st.integers(0, 9), max_size=6).map(pack_chunks),
            st.lists(st.booleans(), min_size=8, max_size=9).map(lambda flags: pack_wants(np.array(flags))),
            st.binary(max_size=30),
        )
    )
    header = Header(
        op=draw(st.sampled_from([Op.MAP, Op.NEWS, Op.GONE, Op.READ, Op.CANCEL, Op.WAIT, Op.TURN, *Op])),
        reply=draw(st.booleans()),
        encoding=draw(st.sampled_from(Encoding)),
        message=draw(st.integers(0, 4)),
        subject=draw(st.sampled_from([0, 1, 2, 7, 8, 2**32 - 1])),
        status=draw(st.sampled_from([Status.OK, Status.OK, Status.OK, Status.NOT_FOUND, *Status])),
        length=draw(st.sampled_from([len(payload), len(payload), len(payload), 2**31])),
    )
    return header.encode() + payload


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(spoken(), st.binary(max_size=40)), max_size=20), st.lists(st.integers(0, 7), max_size=3))
def test_the_asking_side_of_a_peer_lane_tells_what_makes_sense_or_fails(data: list[bytes], wanted: list[int]) -> None:
    pair = Pair(slots=4)
    pair.run()
    assert pair.lane.opened
    pair.lane.ask_map(0.0)
    pair.lane.ask_turn(0.0)
    for chunk in dict.fromkeys(wanted):
        slot = pair.arena.try_acquire()
        assert slot is not None
        pair.lane.handle_slot(slot)
        pair.lane.ask([chunk], 0.0)
    holders = Holders(8)
    holders.join(7)
    for piece in data:
        for event in pair.hear(piece):
            match event:
                case Held():
                    with contextlib.suppress(ProtocolError):
                        holders.replace(7, unpack_wants(event.packed, 8))
                case News():
                    holders.add(7, event.chunks)
                case Gone():
                    holders.remove(7, event.chunks)
                case Received():
                    assert event.chunk in wanted
                    assert event.length <= len(event.slot.view)
                    event.slot.release()
                case Refused() | Returned():
                    assert event.chunk in wanted
    assert set(holders.rarity.tolist()) <= {0, 1}
    assert pair.lane.failed is None or isinstance(pair.lane.failed, OgcastError)
    pair.lane.release_all()
    assert pair.arena.free == pair.arena.slots
