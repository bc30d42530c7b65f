"""Whatever comes in, a unicast machine gives a value or a documented error, and keeps its books."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from core.arena import Arena
from core.errors import OgcastError, ProtocolError
from core.wantmap import WantMap
from images.stores import Encoding
from tests.helpers.unicast_link import joined_server, make_client, make_server
from transports.conformance.sample import CHUNK_BYTES, sample_image
from transports.unicast.proto.frames import FrameReader, Header, Op, Status
from transports.unicast.proto.grants import Grant, LookUp
from transports.unicast.proto.limits import MAX_CREDITS
from transports.unicast.proto.server import State
from transports.unicast.proto.upload import UploadLane

MANIFEST, _STORE, _ = sample_image(chunks=8)
_STORE.close()

EXAMPLES = settings(max_examples=150, deadline=None)


def _frame(draw: st.DrawFn) -> bytes:
    payload = draw(st.one_of(st.binary(max_size=80), st.just(MANIFEST.root), st.just(bytes(4)), st.just(b"")))
    header = Header(
        op=draw(st.sampled_from(Op)),
        reply=draw(st.booleans()),
        encoding=draw(st.sampled_from(Encoding)),
        credits=draw(st.sampled_from([0, 0, 1, 0xFFFF])),
        message=draw(st.integers(0, 6)),
        subject=draw(st.sampled_from([0, 1, 2, 7, 8, 2**32 - 1])),
        status=draw(st.sampled_from([Status.OK, Status.OK, *Status])),
        length=draw(st.sampled_from([len(payload), len(payload), 2**32 - 1])),
    )
    return header.encode() + payload


frames = st.lists(st.one_of(st.composite(_frame)(), st.binary(max_size=60)), max_size=20)


@EXAMPLES
@given(frames)
def test_a_reader_gives_frames_or_a_protocol_error(data: list[bytes]) -> None:
    reader = FrameReader(lambda header, head: None)
    with contextlib.suppress(ProtocolError):
        for piece in data:
            reader.handle_bytes(piece)
    while (frame := reader.poll_frame()) is not None:
        assert len(frame.payload) <= frame.header.length


@EXAMPLES
@given(frames, st.sampled_from(["stranger", "reader", "capture"]))
def test_the_serving_machine_never_raises(data: list[bytes], guest: str) -> None:
    if guest == "stranger":
        server = make_server(Grant(key=bytes(32), image=MANIFEST))
    else:
        server = joined_server(MANIFEST if guest == "reader" else None, capture_bytes=65536 * (guest == "capture"))
    for now, piece in enumerate(data):
        server.handle_bytes(piece, float(now))
        while (work := server.poll_work()) is not None:
            if isinstance(work, LookUp):
                server.handle_looked_up(work, [False] * len(work.digests))
            else:
                server.handle_stored(work, Status.DAMAGED, "made up")
        while (polled := server.poll_read()) is not None:
            server.header_for(polled[0], length=10, encoding=Encoding.RAW)
        assert 0 <= server._reads.balance <= MAX_CREDITS
        server.poll_control()
        server.handle_timer(server.deadline if server.deadline < 1e9 else 0.0) if now == 15 else None
    server.handle_eof()
    assert server.state is State.ENDED


@EXAMPLES
@given(frames, st.booleans())
def test_the_fetching_machine_fails_by_an_error_and_leaks_no_slot(data: list[bytes], opened: bool) -> None:
    arena = Arena(slot_bytes=CHUNK_BYTES, slots=3)
    client = make_client(MANIFEST, WantMap(8))
    if opened:
        server = make_server(Grant(key=bytes(range(32)), image=MANIFEST))
        for _ in range(3):
            while (sent := client.poll_bytes()) is not None:
                server.handle_bytes(sent, 0.0)
            client.handle_bytes(server.poll_control() or b"", 0.0)
    for now, piece in enumerate(data):
        while client.wants_slot and (slot := arena.try_acquire()) is not None:
            client.handle_slot(slot, float(now))
        client.handle_bytes(piece, float(now))
        while (received := client.poll_received()) is not None:
            client.accept(received.chunk)
            received.slot.release()
    client.handle_eof()
    assert client.finished or isinstance(client.failed, OgcastError)
    client.release_all()
    assert arena.free == arena.slots


@EXAMPLES
@given(frames)
def test_the_uploading_machine_fails_by_an_error(data: list[bytes]) -> None:
    client = UploadLane(session_id="s", key=bytes(32), nonce=bytes(32), stall_s=30.0, now=0.0)
    for piece in data:
        client.handle_bytes(piece, 0.0)
    client.handle_eof()
    assert isinstance(client.failed, OgcastError)
