from __future__ import annotations

import msgspec
import pytest

from core.errors import ProtocolError
from transports.member.proto.framing import MAX_FRAME_BYTES, MessageReader, encode_message
from transports.multicast.proto.lane import (
    DECODER,
    Again,
    Closing,
    Damaged,
    Done,
    Health,
    Join,
    Joined,
    LaneChange,
    LaneMessage,
    Leave,
    Probed,
    Waiting,
    Without,
)

MESSAGES: list[LaneMessage] = [
    Join(wanted=b"abc"),
    Without(chunks=b"ab"),
    Again(chunks=b"a"),
    Probed(outcome="partial", received=3, sent=16, loss=0.5, reason="lossy"),
    Health(
        missing_chunks=3,
        network_loss=0.01,
        host_overflow=0.0,
        rate_bytes_per_s=10,
        write_bytes_per_s=20,
        backlog=1.0,
        forged=17,
    ),
    Done(),
    Leave(reason="interrupted"),
    Joined(member=7, sequence=99, report_interval_ms=100, probes=16),
    Waiting(members=3, needed=8, starts_in_s=12.5),
    LaneChange(lane="late", reason="loses 75%"),
    Damaged(chunk=4, reason="unreadable"),
    Closing(reason="stopping", retry=True),
]


def test_a_member_of_an_older_release_does_not_say_what_was_forged() -> None:
    health = next(message for message in MESSAGES if isinstance(message, Health))
    *told, forged = msgspec.msgpack.decode(encode_message(health)[4:])
    assert forged == 17
    assert DECODER.decode(msgspec.msgpack.encode(told)) == msgspec.structs.replace(health, forged=0)


@pytest.mark.parametrize("step", [1, 3, 10_000])
def test_messages_read_as_they_were_written_in_pieces_of_any_size(step: int) -> None:
    stream = b"".join(encode_message(message) for message in MESSAGES)
    reader, got = MessageReader(DECODER), []
    for at in range(0, len(stream), step):
        reader.handle_bytes(stream[at : at + step])
        while (message := reader.poll_message()) is not None:
            got.append(message)
    assert got == MESSAGES


@pytest.mark.parametrize(
    "frame",
    [
        bytes(4),
        (MAX_FRAME_BYTES + 1).to_bytes(4, "little"),
        b"\x01\x00\x00\x00\xc1",
        b"\x05\x00\x00\x00" + msgspec.msgpack.encode(["no"])[:5].ljust(5, b"\0"),
        encode_message(LaneChange(lane="x" * 17, reason="")),
        encode_message(Leave(reason="x" * 513)),
        encode_message(Waiting(members=-1, needed=0)),
    ],
)
def test_what_is_no_message_closes_the_lane(frame: bytes) -> None:
    reader = MessageReader(DECODER)
    reader.handle_bytes(frame)
    with pytest.raises(ProtocolError):
        reader.poll_message()
