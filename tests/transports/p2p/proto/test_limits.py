"""The numbers fit each other."""

from __future__ import annotations

from transports.member.proto.framing import MAX_FRAME_BYTES
from transports.p2p.proto.limits import (
    ASSIGNED_AHEAD,
    DEGREE,
    HAVE_AT_ONCE,
    MAX_LIST_CHUNKS,
    MAX_LIST_PEERS,
    MAX_MAP_BYTES,
    MAX_NEIGHBOURS,
)


def test_every_message_fits_a_frame() -> None:
    assert MAX_MAP_BYTES + 1024 < MAX_FRAME_BYTES
    assert 5 * MAX_LIST_CHUNKS + 1024 < MAX_FRAME_BYTES
    assert 256 * MAX_LIST_PEERS < MAX_FRAME_BYTES


def test_neighbours_fit_one_message() -> None:
    assert DEGREE < MAX_NEIGHBOURS <= MAX_LIST_PEERS
    assert max(ASSIGNED_AHEAD, HAVE_AT_ONCE) <= MAX_LIST_CHUNKS
