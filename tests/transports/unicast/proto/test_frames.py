"""Frames are what docs/wire-unicast.md says, at any split of the stream."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ProtocolError
from images.stores import Encoding
from transports.unicast.proto.frames import HEADER_BYTES, Frame, FrameReader, Header, Op, Status, error_reply
from transports.unicast.proto.limits import MAX_STORED_BYTES, MAX_TEXT_BYTES
from transports.unicast.proto.messages import pack_chunks, pack_write_head, request

GOLDEN = json.loads((Path(__file__).parents[3] / "data" / "unicast-frames.json").read_text())


def _reader() -> FrameReader:
    return FrameReader(lambda header, head: memoryview(bytearray(header.length - len(head))))


def _read(reader: FrameReader) -> list[tuple[Header, bytes, bytes]]:
    frames = []
    while (frame := reader.poll_frame()) is not None:
        frames.append((frame.header, frame.payload, bytes(frame.body or b"")))
    return frames


def _stream() -> bytes:
    stored = b"stored" * 100
    return b"".join(
        [
            request(Op.ECHO, message=3, payload=b"are you there"),
            request(Op.READ, message=4, subject=1, credits=7, payload=pack_chunks([1, 2, 3])),
            Header(op=Op.READ, reply=True, encoding=Encoding.ZSTD, subject=2, length=len(stored)).encode() + stored,
            Header(op=Op.WRITE, length=36 + len(stored)).encode() + pack_write_head(b"d" * 32, 5) + stored,  # type: ignore[arg-type]
            error_reply(Header(op=Op.READ, subject=9), Status.DAMAGED, "lost"),
            Header(op=Op.WAIT, subject=2).encode(),
        ]
    )


@pytest.mark.parametrize("vector", GOLDEN, ids=lambda vector: vector["name"])
def test_golden_vectors_keep_their_meaning(vector: dict[str, object]) -> None:
    data = bytes.fromhex(str(vector["hex"]))
    header = Header.parse(data[:HEADER_BYTES])
    assert {
        "op": header.op.name,
        "reply": header.reply,
        "encoding": header.encoding.name,
        "credits": header.credits,
        "message": header.message,
        "subject": header.subject,
        "status": header.status.name,
        "length": header.length,
    } == vector["header"]
    assert header.encode() == data[:HEADER_BYTES]
    assert header.length == len(data) - HEADER_BYTES


@given(cuts=st.lists(st.integers(0, 2000), max_size=20))
def test_any_split_of_the_stream_gives_the_same_frames(cuts: list[int]) -> None:
    stream = _stream()
    whole, split = _reader(), _reader()
    whole.handle_bytes(stream)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, stop in itertools.pairwise(edges):
        split.handle_bytes(stream[start:stop])
    assert _read(split) == _read(whole)


def test_byte_at_a_time_equals_all_at_once() -> None:
    whole, single = _reader(), _reader()
    whole.handle_bytes(_stream())
    for byte in _stream():
        single.next_buffer()[:1] = bytes([byte])
        single.handle_filled(1)
    frames = _read(single)
    assert len(frames) == 6
    assert frames == _read(whole)
    assert single.between_frames


def test_what_came_in_one_buffer_is_given_one_frame_after_the_other() -> None:
    told: list[str] = []

    def place(header: Header, head: bytes) -> memoryview:
        told.append(f"place {header.subject}")
        return memory[: header.length]

    memory = memoryview(bytearray(5000))
    reader = FrameReader(place)
    stored = bytes(range(250)) * 20
    read = Header(op=Op.READ, reply=True, subject=7, length=len(stored)).encode()
    stream = Header(op=Op.WAIT, subject=1).encode() + request(Op.ECHO, message=3, payload=b"there") + read + stored
    buffer = reader.next_buffer()
    buffer[:] = stream[: len(buffer)]
    reader.handle_filled(len(buffer))
    while (frame := reader.poll_frame()) is not None:
        told.append(f"{frame.header.op.name} {frame.payload.decode()}")
    assert told == ["WAIT ", "ECHO there", "place 7"]
    left = stream[len(buffer) :]
    assert len(reader.next_buffer()) == len(left), "of a stored frame no byte beyond its end is taken"
    reader.next_buffer()[:] = left
    reader.handle_filled(len(left))
    frame = reader.poll_frame()
    assert frame is not None
    assert frame.body == stored
    assert reader.between_frames
    assert reader.body_bytes == len(stored), "echoes and the like are not counted"


def test_a_stored_frame_nobody_wants_passes_by() -> None:
    reader = FrameReader(lambda header, head: None)
    reader.handle_bytes(Header(op=Op.READ, reply=True, length=200_000).encode() + bytes(200_000))
    frame = reader.poll_frame()
    assert isinstance(frame, Frame)
    assert frame.body is None
    assert reader.between_frames
    assert reader.body_bytes == 200_000


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0), (2, 2), (3, 0), (3, 99), (4, 2), (4, 0x80), (5, 2), (16, 99), (18, 1)]
)
def test_a_header_with_anything_unknown_is_refused(at: int, value: int) -> None:
    data = bytearray(Header(op=Op.ECHO).encode())
    data[at] = value
    with pytest.raises(ProtocolError):
        Header.parse(data)


@pytest.mark.parametrize(
    "header",
    [
        Header(op=Op.READ, reply=True, length=MAX_STORED_BYTES + 1),
        Header(op=Op.READ, reply=True, length=0),
        Header(op=Op.READ, length=2**32 - 1),
        Header(op=Op.ECHO, length=65),
        Header(op=Op.WAIT, reply=True),
        Header(op=Op.ECHO, reply=True, status=Status.FAILED, length=MAX_TEXT_BYTES + 1),
    ],
)
def test_a_length_is_checked_before_anything_is_allocated(header: Header) -> None:
    reader = FrameReader(lambda header, head: pytest.fail("memory was asked for"))
    with pytest.raises(ProtocolError):
        reader.handle_bytes(header.encode())


def test_a_text_from_the_other_side_cannot_draw_on_a_terminal() -> None:
    reader = _reader()
    reader.handle_bytes(error_reply(Header(op=Op.OPEN), Status.FAILED, "a\x1b[2Jb" + "é" * 600))
    frame = reader.poll_frame()
    assert frame is not None
    assert "\x1b" not in frame.text
    assert len(frame.payload) <= MAX_TEXT_BYTES
    assert "�" not in frame.text


def test_a_frame_prints_itself_short() -> None:
    frame = Frame(header=Header(op=Op.WRITE, message=7, length=1000), payload=b"x" * 1000)
    assert repr(frame) == "<WRITE #7 1000 bytes>"
