"""Payloads are bounded and nothing in them is taken on trust."""

from __future__ import annotations

import pytest

from core.errors import ProtocolError
from transports.unicast.proto.frames import Header, Op
from transports.unicast.proto.messages import (
    Join,
    Negotiate,
    Negotiated,
    Opened,
    pack_chunks,
    pack_digests,
    pack_write_head,
    reply_to,
    unpack_chunks,
    unpack_digests,
    unpack_write_head,
)

NONCE = b"n" * 32


def test_messages_survive_the_wire() -> None:
    negotiate = Negotiate(nonce=NONCE, max_stored=5)
    negotiated = Negotiated(nonce=NONCE, read_chunks=1, queued_chunks=2, idle_timeout_ms=3)
    join = Join(session_id="abc", proof=b"p" * 32)
    opened = Opened(chunks=1, raw_bytes=2)
    assert Negotiate.parse(negotiate.encode()) == negotiate
    assert Negotiated.parse(negotiated.encode()) == negotiated
    assert Join.parse(join.encode()) == join
    assert Opened.parse(opened.encode()) == opened
    assert unpack_chunks(pack_chunks([1, 2]), 3) == [1, 2]
    assert unpack_digests(pack_digests([NONCE, NONCE])) == [NONCE, NONCE]  # type: ignore[list-item]
    assert unpack_write_head(pack_write_head(NONCE, 9)) == (NONCE, 9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message",
    [
        Negotiate(nonce=NONCE, max_stored=0),
        Negotiate(nonce=NONCE, max_stored=2**32 - 1),
        Negotiate(nonce=NONCE, lowest=2, highest=1),
        Negotiate(nonce=NONCE, lowest=0),
    ],
)
def test_a_negotiation_of_nonsense_is_refused(message: Negotiate) -> None:
    with pytest.raises(ProtocolError):
        Negotiate.parse(message.encode())


def test_limits_of_nothing_are_refused() -> None:
    with pytest.raises(ProtocolError):
        Negotiated.parse(Negotiated(nonce=NONCE, read_chunks=0, queued_chunks=1, idle_timeout_ms=1).encode())


def test_a_session_id_is_printable_ascii() -> None:
    with pytest.raises(ProtocolError):
        Join.parse(b"p" * 32 + b"a\nb")


@pytest.mark.parametrize("payload", [b"abc", pack_chunks([3]), pack_chunks([2**32 - 1])])
def test_chunk_numbers_are_those_of_the_image(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        unpack_chunks(payload, 3)


def test_a_cut_digest_is_refused() -> None:
    with pytest.raises(ProtocolError):
        unpack_digests(b"x" * 33)


@pytest.mark.parametrize("raw_length", [0, 16 * 1024 * 1024 + 1])
def test_a_chunk_has_a_length_chunks_have(raw_length: int) -> None:
    with pytest.raises(ProtocolError):
        unpack_write_head(pack_write_head(NONCE, raw_length))  # type: ignore[arg-type]


def test_an_answer_repeats_the_question_s_number() -> None:
    answer = Header.parse(reply_to(Header(op=Op.ECHO, message=77))[:24])
    assert (answer.op, answer.reply, answer.message) == (Op.ECHO, True, 77)
