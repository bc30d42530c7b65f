"""Frames of a member lane; each transport's messages are tested beside them."""

from __future__ import annotations

import msgspec
import pytest

from core.errors import ProtocolError
from transports.member.proto.framing import (
    LENGTH_BYTES,
    MAX_BUFFER_BYTES,
    MAX_FRAME_BYTES,
    MessageReader,
    encode_message,
)


class Note(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="note"):
    text: str


DECODER = msgspec.msgpack.Decoder(Note)


def test_a_frame_is_its_length_and_an_array_that_begins_with_the_name() -> None:
    frame = encode_message(Note(text="hi"))
    assert frame == bytes.fromhex("0900000092a46e6f7465a26869")
    assert int.from_bytes(frame[:LENGTH_BYTES], "little") == len(frame) - LENGTH_BYTES


def test_a_reader_that_was_busy_finds_thousands_of_messages_at_once() -> None:
    reader = MessageReader(DECODER)
    reader.handle_bytes(encode_message(Note(text="")) * 5000)
    assert [reader.poll_message() for _ in range(5001)] == [Note(text="")] * 5000 + [None]


@pytest.mark.parametrize("length", [0, MAX_FRAME_BYTES + 1, 2**32 - 1])
def test_a_length_out_of_bounds_is_refused_before_the_message_is_awaited(length: int) -> None:
    reader = MessageReader(DECODER)
    reader.handle_bytes(length.to_bytes(4, "little"))
    with pytest.raises(ProtocolError):
        reader.poll_message()


def test_the_longest_message_is_read() -> None:
    body = b"\x92\xa4note\xdb" + (MAX_FRAME_BYTES - 11).to_bytes(4, "big") + b"x" * (MAX_FRAME_BYTES - 11)
    reader = MessageReader(DECODER)
    reader.handle_bytes(len(body).to_bytes(4, "little") + body)
    assert reader.poll_message() == Note(text="x" * (MAX_FRAME_BYTES - 11))


def test_what_nobody_polls_does_not_pile_up() -> None:
    reader = MessageReader(DECODER)
    reader.handle_bytes(bytes(MAX_BUFFER_BYTES))
    with pytest.raises(ProtocolError):
        reader.handle_bytes(b"x")
