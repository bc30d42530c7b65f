"""The serving machine gives what is due and survives every kind of peer."""

from __future__ import annotations

import pytest

from core.ids import ChunkIndex
from images.manifest import Manifest
from images.stores import Encoding
from tests.helpers.unicast_link import joined_server, make_server, serve_bytes, violated
from transports.conformance.sample import sample_image
from transports.unicast.proto.frames import FrameReader, Header, Op, Status
from transports.unicast.proto.grants import LookUp, Store
from transports.unicast.proto.limits import MAX_HANDLES, MAX_OUTPUT_BYTES, MAX_STORED_BYTES, credits_for
from transports.unicast.proto.messages import Negotiate, pack_chunks, pack_write_head, request
from transports.unicast.proto.server import ServerLane, State
from transports.unicast.proto.turn_taking import TURN_S, UNANSWERED_MAX


def _manifest(chunks: int = 40) -> Manifest:
    manifest, store, _ = sample_image(chunks=chunks)
    store.close()
    return manifest


def _open(server: ServerLane, manifest: Manifest) -> None:
    server.handle_bytes(request(Op.OPEN, message=3, payload=manifest.root), 0.0)
    server.poll_control()


def _reader() -> FrameReader:
    return FrameReader(lambda header, head: memoryview(bytearray(header.length - len(head))))


def _write(length: int, raw_length: int = 100, *, sent: int | None = None) -> bytes:
    header = Header(op=Op.WRITE, message=9, encoding=Encoding.RAW, length=36 + length)
    return header.encode() + pack_write_head(b"d" * 32, raw_length) + bytes(length if sent is None else sent)  # type: ignore[arg-type]


def test_chunks_are_sent_as_far_as_credits_reach() -> None:
    manifest = _manifest()
    server = joined_server(manifest)
    _open(server, manifest)
    server.handle_bytes(request(Op.READ, message=4, subject=1, credits=2, payload=pack_chunks([5, 6, 7])), 0.0)
    sent = []
    while (polled := server.poll_read()) is not None:
        sent.append(polled[0].chunk)
    assert sent == [5, 6]
    server.handle_bytes(request(Op.GRANT, message=5, credits=1), 0.0)
    assert server.has_read
    assert server.upcoming(3) == [manifest.digest(7)]


def test_what_is_cancelled_is_named_and_not_sent() -> None:
    manifest = _manifest()
    server = joined_server(manifest)
    _open(server, manifest)
    server.handle_bytes(request(Op.READ, message=4, subject=1, credits=3, payload=pack_chunks([5, 6, 7])), 0.0)
    server.handle_bytes(request(Op.CANCEL, message=5, subject=1, payload=pack_chunks([6, 30])), 0.0)
    reader = _reader()
    reader.handle_bytes(server.poll_control() or b"")
    frame = reader.poll_frame()
    assert frame is not None
    assert frame.payload == pack_chunks([6])
    assert [server.poll_read()[0].chunk for _ in range(2)] == [5, 7]  # type: ignore[index]
    assert server.poll_read() is None


def test_another_image_than_the_leased_one_is_not_served() -> None:
    server = joined_server(_manifest())
    server.handle_bytes(request(Op.OPEN, message=3, payload=bytes(32)), 0.0)
    assert Header.parse((server.poll_control() or b"")[:24]).status is Status.NOT_FOUND
    assert server.state is State.JOINED


def test_a_frame_too_large_for_the_reader_is_named_and_the_lane_goes_on() -> None:
    manifest = _manifest()
    server = joined_server(manifest)
    _open(server, manifest)
    server.handle_bytes(request(Op.READ, message=4, subject=1, credits=1, payload=pack_chunks([5])), 0.0)
    polled = server.poll_read()
    assert polled is not None
    assert server.header_for(polled[0], length=MAX_STORED_BYTES + 1, encoding=Encoding.RAW) is None
    assert Header.parse((server.poll_control() or b"")[:24]).status is Status.TOO_LARGE


@pytest.mark.parametrize(
    "frame",
    [
        request(Op.READ, message=1, subject=1, payload=pack_chunks([40])),
        request(Op.READ, message=1, subject=2, payload=pack_chunks([0])),
        request(Op.CANCEL, message=1, subject=7),
        request(Op.CLOSE, message=1, subject=7),
        request(Op.ECHO, message=1, credits=1),
        request(Op.HAVE, message=1, payload=bytes(32)),
        request(Op.NEGOTIATE, message=1, payload=Negotiate(nonce=bytes(32)).encode()),
        request(Op.LEASE_BREAK, message=1),
        request(Op.WAIT, message=1),
        request(Op.NEWS, message=1, payload=bytes(4)),
        request(Op.GONE, message=1, payload=bytes(4)),
        request(Op.TURN, message=1),
        Header(op=Op.ECHO, reply=True).encode(),
        _write(5),
        b"GET / HTTP/1.1\r\nHost: repository\r\n\r\n",
    ],
)
def test_a_violation_ends_the_lane_with_a_reason(frame: bytes) -> None:
    manifest = _manifest()
    server = joined_server(manifest)
    _open(server, manifest)
    server.handle_bytes(frame, 0.0)
    assert violated(server)
    told = Header.parse((server.poll_control() or b"")[:24])
    assert (told.op, told.status) == (Op.LEASE_BREAK, Status.VIOLATION)
    assert server.poll_control() is None
    assert server.state is State.ENDED


@pytest.mark.parametrize("op", [op for op in Op if op not in (Op.NEGOTIATE, Op.WRITE)])
def test_nothing_is_allowed_before_the_session(op: Op) -> None:
    server = make_server(None)
    server.handle_bytes(Header(op=op).encode() + bytes(64), 0.0)
    assert violated(server)


def test_ten_thousand_reads_queued_are_a_violation_and_take_no_memory() -> None:
    manifest = _manifest()
    server = joined_server(manifest)
    _open(server, manifest)
    for message in range(10_000 // 250):
        server.handle_bytes(request(Op.READ, message=message, subject=1, payload=pack_chunks([0] * 250)), 0.0)
    assert violated(server)
    assert not server.has_read


def test_credits_that_overflow_are_a_violation() -> None:
    server = joined_server(_manifest())
    for _ in range(5):
        server.handle_bytes(request(Op.GRANT, message=1, credits=0xFFFF), 0.0)
    assert violated(server)


def test_a_peer_that_opens_without_end_is_stopped() -> None:
    manifest = _manifest()
    server = joined_server(manifest)
    for _ in range(MAX_HANDLES + 1):
        _open(server, manifest)
    assert violated(server)


def test_a_peer_that_does_not_take_its_answers_is_not_read_from() -> None:
    server = joined_server(_manifest())
    echo = request(Op.ECHO, message=1, payload=bytes(64))
    for _ in range(MAX_OUTPUT_BYTES // len(echo) + 1):
        server.handle_bytes(echo, 0.0)
    assert not server.wants_input
    server.poll_control()
    assert server.wants_input


def test_closing_a_handle_drops_its_reads_and_closing_all_ends_the_lane() -> None:
    manifest = _manifest()
    server = joined_server(manifest)
    _open(server, manifest)
    server.handle_bytes(request(Op.READ, message=4, subject=1, credits=1, payload=pack_chunks([5])), 0.0)
    server.handle_bytes(request(Op.CLOSE, message=5, subject=1), 0.0)
    assert not server.has_read
    server.handle_bytes(request(Op.CLOSE, message=6), 0.0)
    assert server.state is State.ENDING
    server.handle_bytes(b"whatever follows", 0.0)
    server.poll_control()
    assert server.poll_control() is None
    assert server.state is State.ENDED
    assert server.reason is None


def test_strangers_and_silence_end_by_time() -> None:
    stranger = make_server(None)
    stranger.handle_bytes(b"OG", 9.0)
    stranger.handle_timer(9.9)
    assert stranger.reason is None
    stranger.handle_timer(stranger.deadline)
    assert stranger.reason is not None
    silent = joined_server()
    silent.handle_timer(silent.deadline)
    assert silent.state is State.ENDING
    stuck = joined_server()
    stuck.handle_blocked(1.0)
    stuck.handle_timer(stuck.deadline)
    assert stuck.state is State.ENDED


def test_waiting_is_told_to_those_who_may_wait() -> None:
    stranger, client = make_server(None), joined_server(_manifest())
    for server in (stranger, client):
        server.handle_waiting(3)
    assert not stranger.poll_control()
    assert Header.parse((client.poll_control() or b"")[:24]).subject == 3


# ------------------------------------------------------------------------------------------------ captures


class _Held(set[int]):
    """Chunks a peer holds."""

    def holds(self, chunk: int) -> bool:
        return chunk in self

    def packed(self) -> bytes:
        return b"map of " + bytes(sorted(self))


def _peer(manifest: Manifest, held: _Held) -> ServerLane:
    server = joined_server(manifest, holdings=held)
    _open(server, manifest)
    return server


def _frames(server: ServerLane) -> list[tuple[Header, bytes]]:
    reader = _reader()
    reader.handle_bytes(server.poll_control() or b"")
    frames = []
    while (frame := reader.poll_frame()) is not None:
        frames.append((frame.header, frame.payload))
    return frames


def test_a_chunk_that_is_not_held_is_said_so_at_once_and_costs_nothing() -> None:
    manifest = _manifest()
    server = _peer(manifest, _Held({2, 4}))
    cost = credits_for(manifest.raw_length(ChunkIndex(2)))
    payload = pack_chunks([1, 2, 3])
    server.handle_bytes(request(Op.READ, message=5, subject=1, credits=3 * cost, payload=payload), 0.0)
    assert [(header.subject, header.status) for header, _ in _frames(server)] == [
        (1, Status.NOT_FOUND),
        (3, Status.NOT_FOUND),
    ]
    polled = server.poll_read()
    assert polled is not None
    assert polled[0].chunk == 2
    # What was meant for the two is not left over for another chunk.
    server.handle_bytes(request(Op.READ, message=6, subject=1, payload=pack_chunks([4])), 0.0)
    assert not server.has_read
    assert server.unreadable is Status.NOT_FOUND
    assert joined_server(manifest).unreadable is Status.DAMAGED


def test_a_map_is_told_once_and_news_follow_it() -> None:
    manifest = _manifest()
    server = _peer(manifest, _Held({2, 4}))
    server.tell_news([7])
    assert _frames(server) == []
    server.handle_bytes(request(Op.MAP, message=9, subject=1), 0.0)
    server.tell_news([7, 8])
    server.tell_gone([2])
    server.tell_news([])
    frames = _frames(server)
    assert [(header.op, header.reply, header.message, header.subject) for header, _ in frames] == [
        (Op.MAP, True, 9, 1),
        (Op.NEWS, False, 0, 1),
        (Op.GONE, False, 0, 1),
    ]
    assert [payload for _, payload in frames] == [b"map of \2\4", pack_chunks([7, 8]), pack_chunks([2])]
    server.handle_bytes(request(Op.MAP, message=10, subject=1), 0.0)
    assert violated(server)
    server.tell_news([9])
    server.poll_control()
    assert server.poll_control() is None


def test_a_turn_is_told_and_waits_for_a_read_or_for_word_that_there_is_none() -> None:
    manifest = _manifest()
    server = _peer(manifest, _Held({2}))
    server.handle_bytes(request(Op.TURN, message=9), 0.0)
    assert server.turn.asked
    server.handle_turn(1.0)
    assert [(header.op, header.reply, header.message) for header, _ in _frames(server)] == [(Op.TURN, True, 9)]
    assert server.turn.held
    assert server.deadline == 1.0 + TURN_S
    server.handle_bytes(request(Op.READ, message=10, subject=1, credits=1, payload=pack_chunks([2])), 1.1)
    assert not server.turn.held
    assert server.has_read
    server.handle_bytes(request(Op.TURN, message=11), 1.2)
    server.handle_turn(1.2)
    server.handle_bytes(request(Op.PASS, message=12), 1.3)
    assert not server.turn.held
    assert server.state is State.JOINED


def test_who_passes_a_turn_it_was_not_given_is_hung_up_on() -> None:
    server = _peer(_manifest(), _Held())
    server.handle_bytes(request(Op.TURN, message=9), 1.0)
    server.handle_bytes(request(Op.PASS, message=10), 1.1)
    assert server.reason is not None
    assert server.reason[0] is Status.VIOLATION


def test_who_lets_its_turns_go_by_is_hung_up_on() -> None:
    server = _peer(_manifest(), _Held())
    for now in range(UNANSWERED_MAX):
        assert server.state is State.JOINED
        server.handle_bytes(request(Op.TURN, message=9), 2.0 * now)
        server.handle_turn(2.0 * now)
        server.handle_timer(2.0 * now + TURN_S)
        assert not server.turn.held
    assert server.reason is not None
    assert server.reason[0] is Status.TIMEOUT


def test_who_takes_no_news_is_cut_off() -> None:
    manifest = _manifest()
    server = _peer(manifest, _Held())
    server.handle_bytes(request(Op.MAP, message=9, subject=1), 0.0)
    for _ in range(100_000):
        server.tell_news([1])
        if server.reason is not None:
            break
    assert server.reason is not None
    assert server.reason[0] is Status.TIMEOUT


def test_a_map_of_an_image_that_is_not_open_is_a_violation() -> None:
    server = joined_server(_manifest(), holdings=_Held())
    server.handle_bytes(request(Op.MAP, message=9, subject=1), 0.0)
    assert violated(server)


def _locked(window_bytes: int = 128 * 1024) -> ServerLane:
    server = joined_server(capture_bytes=65536, window_bytes=window_bytes)
    server.handle_bytes(request(Op.LOCK, message=3), 0.0)
    assert Header.parse((server.poll_control() or b"")[:24]).credits == 2
    return server


def test_a_session_that_is_no_capture_cannot_be_locked() -> None:
    server = joined_server(_manifest())
    server.handle_bytes(request(Op.LOCK, message=3), 0.0)
    assert Header.parse((server.poll_control() or b"")[:24]).status is Status.NOT_FOUND
    assert server.state is State.JOINED


def test_lookups_and_writes_are_work_in_order() -> None:
    server = _locked()
    server.handle_bytes(request(Op.HAVE, message=4, payload=bytes(64)) + _write(5), 0.0)
    looked, stored = server.poll_work(), server.poll_work()
    assert isinstance(looked, LookUp)
    assert isinstance(stored, Store)
    server.handle_looked_up(looked, [True, False])
    server.handle_stored(stored)
    frames = server.poll_control() or b""
    assert frames[24:26] == b"\1\0"
    assert Header.parse(frames[26:]).credits == 1
    assert serve_bytes(server, None) == []  # type: ignore[arg-type]


def test_a_write_beyond_the_window_is_a_violation() -> None:
    server = _locked()
    for _ in range(2):
        server.handle_bytes(_write(5), 0.0)
    assert not violated(server)
    server.handle_bytes(_write(5), 0.0)
    assert violated(server)


def test_a_refused_write_gives_its_credits_back_too() -> None:
    server = _locked()
    for _ in range(5):
        server.handle_bytes(_write(5), 0.0)
        work = server.poll_work()
        assert isinstance(work, Store)
        server.handle_stored(work, Status.DAMAGED, "bad")
        assert Header.parse((server.poll_control() or b"")[:24]).credits == 1
    assert not violated(server)


@pytest.mark.parametrize(("length", "raw_length"), [(5, 65537), (5, 0), (MAX_STORED_BYTES, 65536)])
def test_memory_for_a_write_is_refused_before_it_is_taken(length: int, raw_length: int) -> None:
    server = _locked()
    server.handle_bytes(_write(length, raw_length, sent=0), 0.0)
    assert violated(server)
