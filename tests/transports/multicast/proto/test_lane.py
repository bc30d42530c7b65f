from __future__ import annotations

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ProtocolError
from core.wantmap import WantMap
from transports.multicast.proto.lane import (
    Closing,
    Damaged,
    Done,
    Health,
    Join,
    Joined,
    LaneChange,
    LaneMessage,
    LaneReader,
    Leave,
    Moved,
    Probed,
    Waiting,
    Want,
    encode_message,
    pack_wants,
    unpack_wants,
)
from transports.multicast.proto.limits import MAX_CHUNKS, MAX_LANE_FRAME_BYTES

MESSAGES: list[LaneMessage] = [
    Join(wanted=b"abc"),
    Want(wanted=b""),
    Probed(outcome="partial", received=3, sent=16, loss=0.5, reason="lossy"),
    Health(
        missing_chunks=3,
        network_loss=0.01,
        host_overflow=0.0,
        rate_bytes_per_s=10,
        write_bytes_per_s=20,
        backlog=1.0,
    ),
    Moved(reason="too slow"),
    Done(),
    Leave(reason="interrupted"),
    Joined(member=7, sequence=99, report_interval_ms=100, probes=16),
    Waiting(members=3, needed=8, starts_in_s=12.5),
    LaneChange(lane="late", reason="loses 75%"),
    Damaged(chunk=4, reason="unreadable"),
    Closing(reason="stopping", retry=True),
]


@pytest.mark.parametrize("step", [1, 3, 10_000])
def test_messages_read_as_they_were_written_in_pieces_of_any_size(step: int) -> None:
    stream = b"".join(encode_message(message) for message in MESSAGES)
    reader, got = LaneReader(), []
    for at in range(0, len(stream), step):
        reader.handle_bytes(stream[at : at + step])
        while (message := reader.poll_message()) is not None:
            got.append(message)
    assert got == MESSAGES


@pytest.mark.parametrize(
    "frame",
    [
        bytes(4),
        (MAX_LANE_FRAME_BYTES + 1).to_bytes(4, "little"),
        b"\x01\x00\x00\x00\xc1",
        b"\x05\x00\x00\x00" + msgspec.msgpack.encode(["no"])[:5].ljust(5, b"\0"),
        encode_message(LaneChange(lane="x" * 17, reason="")),
        encode_message(Moved(reason="x" * 513)),
        encode_message(Waiting(members=-1, needed=0)),
    ],
)
def test_what_is_no_message_closes_the_lane(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        LaneReader().handle_bytes(frame)


def test_too_many_messages_at_once_close_the_lane() -> None:
    with pytest.raises(ProtocolError):
        LaneReader().handle_bytes(encode_message(Done()) * 65)


@given(st.lists(st.booleans(), max_size=300))
def test_wants_travel_as_a_want_map(flags: list[bool]) -> None:
    wanted = np.array(flags, dtype=np.bool_)
    data = pack_wants(wanted)
    assert unpack_wants(data, len(flags)).tolist() == flags
    packed = np.packbits(wanted, bitorder="little").tobytes()
    assert list(WantMap.from_bytes(packed, len(flags))) == np.flatnonzero(wanted).tolist()


def test_the_largest_map_fits_a_frame() -> None:
    noise = np.random.default_rng(1).random(1 << 22) < 0.5
    assert len(encode_message(Join(wanted=pack_wants(noise)))) <= MAX_LANE_FRAME_BYTES
    assert len(pack_wants(np.ones(MAX_CHUNKS, dtype=np.bool_))) < 1000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"rubbish",
        pack_wants(np.ones(9, dtype=np.bool_)),
        pack_wants(np.ones(17, dtype=np.bool_)),
        zstandard.ZstdCompressor(write_content_size=False).compress(b"\xff"),
        pack_wants(np.ones(8, dtype=np.bool_))[:-1],
    ],
)
def test_a_map_of_another_image_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        unpack_wants(data, 7)
