"""The uploading machine: several in flight, never more than the window, every answer to its question."""

from __future__ import annotations

import pytest

from core.errors import ChunkError, ConnectionFailedError, ProtocolError, UsageError
from images.stores import Encoding
from tests.helpers.unicast_link import KEY, SESSION, make_server
from transports.unicast.proto.frames import Header, Op, Status
from transports.unicast.proto.grants import Grant, LookUp, Store
from transports.unicast.proto.messages import reply_to
from transports.unicast.proto.server import ServerLane
from transports.unicast.proto.upload import UploadLane

DIGEST = b"d" * 32


def _pair(window_bytes: int = 128 * 1024) -> tuple[UploadLane, ServerLane]:
    client = UploadLane(session_id=SESSION, key=KEY, nonce=b"c" * 32, stall_s=30.0, now=0.0)
    server = make_server(Grant(key=KEY, capture_bytes=65536), window_bytes=window_bytes)
    _carry(client, server)
    assert client.locked
    return client, server


def _carry(client: UploadLane, server: ServerLane) -> None:
    for _ in range(8):
        while (data := client.poll_bytes()) is not None:
            server.handle_bytes(data, 0.0)
        if (answer := server.poll_control()) is not None:
            client.handle_bytes(answer, 0.0)


def _write(client: UploadLane) -> int:
    return client.ask_write(DIGEST, b"stored", encoding=Encoding.RAW, raw_length=6, now=0.0)  # type: ignore[arg-type]


def test_writes_wait_for_the_window_and_answers_find_their_question() -> None:
    client, server = _pair()
    messages = [_write(client) for _ in range(5)]
    done: list[int] = []
    for _ in range(5):
        _carry(client, server)
        works = []
        while (work := server.poll_work()) is not None:
            works.append(work)
        assert len(works) <= 2
        for work in works:
            assert isinstance(work, Store)
            assert bytes(work.stored) == b"stored"
            server.handle_stored(work)
        _carry(client, server)
        while (answer := client.poll_answer()) is not None:
            assert answer.error is None
            done.append(answer.message)
    assert done == messages


def test_a_bad_chunk_is_an_error_of_that_write_only() -> None:
    client, server = _pair()
    bad = _write(client)
    question = client.ask_have([DIGEST, DIGEST], 0.0)  # type: ignore[list-item]
    _carry(client, server)
    first, second = server.poll_work(), server.poll_work()
    store, look_up = (first, second) if isinstance(first, Store) else (second, first)
    assert isinstance(store, Store)
    assert isinstance(look_up, LookUp)
    server.handle_stored(store, Status.DAMAGED, "not its digest")
    server.handle_looked_up(look_up, [True, False])
    _carry(client, server)
    answers = {answer.message: answer for answer in iter(client.poll_answer, None)}
    assert isinstance(answers[bad].error, ChunkError)
    assert answers[question].held == [True, False]
    assert client.failed is None


@pytest.mark.parametrize(
    "frame",
    [
        reply_to(Header(op=Op.WRITE, message=99)),
        reply_to(Header(op=Op.HAVE, message=4), b"\1"),
        Header(op=Op.READ, reply=True, length=5).encode() + b"12345",
        Header(op=Op.GRANT).encode(),
    ],
)
def test_answers_to_nothing_are_violations(frame: bytes) -> None:
    client, _ = _pair()
    client.handle_bytes(frame, 0.0)
    assert isinstance(client.failed, ProtocolError)


def test_questions_of_nonsense_are_mistakes_of_ours() -> None:
    client, _ = _pair()
    with pytest.raises(UsageError):
        client.ask_have([], 0.0)
    with pytest.raises(UsageError):
        client.ask_write(DIGEST, b"", encoding=Encoding.RAW, raw_length=1, now=0.0)  # type: ignore[arg-type]


def test_silence_ends_an_upload_that_is_owed_an_answer() -> None:
    client, _ = _pair()
    _write(client)
    for second in range(1, 40):
        client.handle_timer(float(second))
    assert isinstance(client.failed, ConnectionFailedError)


def test_an_idle_upload_says_it_is_alive() -> None:
    client, server = _pair()
    for second in range(1, 200):
        client.handle_timer(float(second))
        while (data := client.poll_bytes()) is not None:
            assert Header.parse(bytes(data[:24])).op is Op.ECHO
            server.handle_bytes(data, float(second))
        client.handle_bytes(server.poll_control() or b"", float(second))
    assert client.failed is None
    client.handle_eof("gone")
    assert isinstance(client.failed, ConnectionFailedError)
