"""What members of a swarm and repod say to each other."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from core.errors import ProtocolError
from transports.member.proto.framing import MAX_FRAME_BYTES, MessageReader, encode_message
from transports.member.proto.maps import pack_wants
from transports.p2p.proto.limits import MAX_CHUNKS, MAX_LIST_CHUNKS, MAX_LIST_PEERS, MAX_MAP_BYTES
from transports.p2p.proto.messages import (
    DECODER,
    Announce,
    Assign,
    BadChunk,
    Banned,
    Closing,
    Damaged,
    Done,
    Failed,
    Forget,
    Gone,
    Have,
    Health,
    Leave,
    Lost,
    Meet,
    Need,
    PeerAddress,
    Release,
    Stop,
    SwarmMessage,
    Want,
    Welcome,
)

KEY = bytes(range(32))
PEER = PeerAddress(id=7, host="10.0.0.7", port=40001, credential=KEY, same_subnet=True, bridge=False)
ANNOUNCE = Announce(port=40000, subnet="10.0.0.0/24", mode="peer", wanted=b"w", held=b"h")
HEALTH = Health(
    missing=3,
    from_same=1,
    from_other=2,
    from_origin=3,
    up_same=4,
    up_other=5,
    duplicates=6,
    rate=7,
    backlog=0.5,
    ring_chunks=8,
    neighbours=9,
)
WELCOME = Welcome(member=1, listen_key=KEY, subnet="lab 3", window=256, slots=8, have_interval_ms=100)
MESSAGES: list[SwarmMessage] = [
    ANNOUNCE,
    Have(chunks=(0, 5, MAX_CHUNKS - 1)),
    Gone(chunks=(3,)),
    Failed(chunks=(4,), reason="the origin lane broke"),
    Need(chunks=(1, 2)),
    Want(chunks=(0, 9)),
    BadChunk(peer=7, chunk=3, expected=KEY, got=bytes(32)),
    Lost(peer=7, reason="does not send"),
    HEALTH,
    Done(),
    Leave(reason="interrupted"),
    WELCOME,
    Meet(peers=(PEER,)),
    Forget(ids=(7,)),
    Banned(ids=(7, 8)),
    Assign(chunks=(10, 11)),
    Release(chunks=(11,)),
    Damaged(chunk=4, reason="unreadable"),
    Stop(reason="nobody lacks anything"),
    Closing(reason="stopping", retry=True),
]


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_messages_read_as_they_were_written_in_pieces_of_any_size(step: int) -> None:
    stream = b"".join(encode_message(message) for message in MESSAGES)
    reader, got = MessageReader(DECODER), []
    for at in range(0, len(stream), step):
        reader.handle_bytes(stream[at : at + step])
        while (message := reader.poll_message()) is not None:
            got.append(message)
    assert got == MESSAGES


def _changed(message: SwarmMessage, **fields: object) -> SwarmMessage:
    return msgspec.structs.replace(message, **fields)


@pytest.mark.parametrize(
    "message",
    [
        _changed(ANNOUNCE, mode="boss"),
        _changed(ANNOUNCE, mode="peer\n"),
        _changed(ANNOUNCE, port=65536),
        _changed(ANNOUNCE, subnet="x" * 65),
        _changed(ANNOUNCE, held=bytes(MAX_MAP_BYTES + 1)),
        Have(chunks=()),
        Have(chunks=(MAX_CHUNKS,)),
        Have(chunks=(-1,)),
        Have(chunks=tuple(range(MAX_LIST_CHUNKS + 1))),
        _changed(HEALTH, backlog=1.5),
        _changed(HEALTH, rate=1 << 48),
        BadChunk(peer=7, chunk=3, expected=KEY[:31], got=KEY),
        BadChunk(peer=0, chunk=3, expected=KEY, got=KEY),
        _changed(WELCOME, listen_key=KEY + b"x"),
        _changed(WELCOME, window=0),
        Meet(peers=()),
        Meet(peers=(PEER,) * (MAX_LIST_PEERS + 1)),
        Meet(peers=(msgspec.structs.replace(PEER, port=0),)),
        Meet(peers=(msgspec.structs.replace(PEER, host=""),)),
        Banned(ids=(1 << 32,)),
        Leave(reason="x" * 513),
    ],
    ids=lambda message: repr(message)[:80],  # the system takes no name of a mebibyte into an environment
)
def test_values_out_of_bounds_are_refused(message: SwarmMessage) -> None:
    reader = MessageReader(DECODER)
    reader.handle_bytes(encode_message(message))
    with pytest.raises(ProtocolError):
        reader.poll_message()


def test_the_largest_image_can_be_announced() -> None:
    noise = pack_wants(np.random.default_rng(1).random(MAX_CHUNKS) < 0.5)
    assert len(noise) <= MAX_MAP_BYTES
    one_sided = pack_wants(np.ones(MAX_CHUNKS, dtype=np.bool_))
    assert len(encode_message(_changed(ANNOUNCE, wanted=noise, held=one_sided))) <= MAX_FRAME_BYTES
