"""The serving side lets in who knows the key of a session, and nobody else."""

from __future__ import annotations

import pytest

from core.errors import AuthenticationError, ProtocolError
from transports.unicast.proto.admission import Admission
from transports.unicast.proto.frames import Frame, FrameReader, Header, Op
from transports.unicast.proto.grants import Grant
from transports.unicast.proto.handshake import Handshake
from transports.unicast.proto.messages import Join, Negotiate

KEY = bytes(range(32))


def _frame(data: bytes) -> Frame:
    reader = FrameReader(lambda header, head: None)
    reader.handle_bytes(data)
    frame = reader.poll_frame()
    assert frame is not None
    return frame


def _admission() -> Admission:
    grant = Grant(key=KEY)
    return Admission(find=lambda name: grant if name == "s1" else None, nonce=b"n" * 32, idle_s=2.5)


def test_both_sides_agree_and_prove() -> None:
    admission = _admission()
    shake = Handshake(session_id="s1", key=KEY, nonce=b"c" * 32, max_stored=77)
    answer = admission.handle_negotiate(_frame(shake.begin()))
    assert admission.max_stored == 77
    assert admission.session_id is None
    proven = admission.handle_session(_frame(shake.handle_frame(_frame(answer))))
    assert proven is not None
    shake.handle_frame(_frame(proven))
    assert shake.done
    assert shake.agreed is not None
    assert shake.agreed.idle_timeout_ms == 2500
    assert (admission.session_id, admission.grant) == ("s1", Grant(key=KEY))


@pytest.mark.parametrize(("name", "key"), [("s1", bytes(32)), ("s2", KEY), ("s2", bytes(32))])
def test_a_wrong_key_and_an_unknown_session_are_refused_alike(name: str, key: bytes) -> None:
    admission = _admission()
    shake = Handshake(session_id=name, key=key, nonce=b"c" * 32)
    answer = admission.handle_negotiate(_frame(shake.begin()))
    assert admission.handle_session(_frame(shake.handle_frame(_frame(answer)))) is None
    assert admission.grant is None
    assert admission.session_id is None


def test_a_proof_made_for_another_nonce_is_worth_nothing() -> None:
    first, second = _admission(), Admission(find=lambda name: Grant(key=KEY), nonce=b"m" * 32, idle_s=1)
    shake = Handshake(session_id="s1", key=KEY, nonce=b"c" * 32)
    hello = _frame(shake.begin())
    proof = _frame(shake.handle_frame(_frame(first.handle_negotiate(hello))))
    second.handle_negotiate(hello)
    assert second.handle_session(proof) is None


def test_an_answer_of_the_wrong_server_is_noticed() -> None:
    admission = Admission(find=lambda name: Grant(key=bytes(32)), nonce=b"n" * 32, idle_s=1)
    shake = Handshake(session_id="s1", key=KEY, nonce=b"c" * 32)
    shake.handle_frame(_frame(admission.handle_negotiate(_frame(shake.begin()))))
    forged = _frame(Header(op=Op.SESSION, reply=True, message=2, length=32).encode() + bytes(32))
    with pytest.raises(AuthenticationError):
        shake.handle_frame(forged)


def test_a_version_nobody_speaks_is_a_violation() -> None:
    payload = Negotiate(nonce=b"c" * 32, lowest=2, highest=9).encode()
    frame = Frame(header=Header(op=Op.NEGOTIATE, length=len(payload)), payload=payload)
    with pytest.raises(ProtocolError):
        _admission().handle_negotiate(frame)


def test_a_name_that_is_no_text_is_a_violation() -> None:
    payload = Join(session_id="x", proof=bytes(32)).encode()[:-1] + b"\xff"
    frame = Frame(header=Header(op=Op.SESSION, length=len(payload)), payload=payload)
    with pytest.raises(ProtocolError):
        _admission().handle_session(frame)
