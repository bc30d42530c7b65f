"""The way into a lane: both sides prove the key, refusals say what they mean."""

from __future__ import annotations

import pytest

from core.errors import AuthenticationError, ConnectionFailedError, OgcastError, ProtocolError
from tests.helpers.unicast_link import KEY, SESSION, joined_server, make_server
from transports.unicast.proto.frames import Frame, FrameReader, Header, Op, Status
from transports.unicast.proto.grants import Grant
from transports.unicast.proto.handshake import Handshake, error_of
from transports.unicast.proto.messages import Negotiated, reply_to
from transports.unicast.proto.server import State


def _frame(data: bytes) -> Frame:
    reader = FrameReader(lambda header, head: None)
    reader.handle_bytes(data)
    frame = reader.poll_frame()
    assert frame is not None
    return frame


def _shake() -> Handshake:
    return Handshake(session_id=SESSION, key=KEY, nonce=b"c" * 32)


def test_two_machines_with_one_key_come_together() -> None:
    assert joined_server().state is State.JOINED


@pytest.mark.parametrize(("session_id", "key"), [("nobody", KEY), (SESSION, bytes(32))])
def test_an_unknown_session_and_a_wrong_key_get_the_same_answer(session_id: str, key: bytes) -> None:
    server = make_server(Grant(key=KEY))
    shake = Handshake(session_id=session_id, key=key, nonce=b"c" * 32)
    server.handle_bytes(shake.begin(), 0.0)
    server.handle_bytes(shake.handle_frame(_frame(server.poll_control() or b"")), 0.0)
    refusal = _frame(server.poll_control() or b"")
    assert refusal.text == "unknown session or wrong key"
    with pytest.raises(AuthenticationError):
        shake.handle_frame(refusal)
    assert server.session_id is None


def test_a_proof_heard_on_one_lane_is_worth_nothing_on_another() -> None:
    first = make_server(Grant(key=KEY), nonce=b"1" * 32)
    shake = _shake()
    hello = shake.begin()
    first.handle_bytes(hello, 0.0)
    heard = shake.handle_frame(_frame(first.poll_control() or b""))
    second = make_server(Grant(key=KEY), nonce=b"2" * 32)
    second.handle_bytes(hello + heard, 0.0)
    assert second.reason is not None
    assert second.reason[0] is Status.DENIED


def test_a_server_without_the_key_is_found_out() -> None:
    shake = _shake()
    answer = Negotiated(nonce=b"x" * 32, read_chunks=1, queued_chunks=1, idle_timeout_ms=1)
    shake.handle_frame(_frame(reply_to(Header(op=Op.NEGOTIATE, message=1), answer.encode())))
    with pytest.raises(AuthenticationError):
        shake.handle_frame(_frame(reply_to(Header(op=Op.SESSION, message=2), bytes(32))))


def test_answers_out_of_order_are_refused() -> None:
    with pytest.raises(ProtocolError):
        _shake().handle_frame(_frame(reply_to(Header(op=Op.SESSION, message=1), bytes(32))))
    with pytest.raises(ConnectionFailedError):
        _shake().handle_frame(_frame(Header(op=Op.LEASE_BREAK, status=Status.BUSY).encode()))


@pytest.mark.parametrize("status", list(Status))
def test_every_status_means_an_error_with_the_text(status: Status) -> None:
    error = error_of(status, "the reason", other="peer 7")
    assert isinstance(error, OgcastError)
    assert "the reason" in str(error)
    assert "peer 7" in str(error)
    assert "the repository" in str(error_of(status, "the reason"))
