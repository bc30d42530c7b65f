"""Parsers of the swarm fed with rubbish and damaged good input: a value or a documented error."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from core.errors import ProtocolError
from tests.transports.p2p.proto.test_messages import MESSAGES
from transports.member.proto.framing import MessageReader, encode_message
from transports.p2p.proto.credentials import lane_name, member_of
from transports.p2p.proto.messages import DECODER


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
