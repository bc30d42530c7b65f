"""What somebody took, and what is under way to it."""

from __future__ import annotations

import numpy as np

from transports.p2p.proto.chunkset import ChunkSet
from transports.p2p.proto.limits import ASSIGNED_AHEAD
from transports.p2p.proto.member import Member
from transports.p2p.proto.taker import Taker


def test_what_is_under_way_counts_as_taken() -> None:
    nothing = np.zeros(4, dtype=np.bool_)
    member = Member(
        id=1,
        session="s1",
        key=bytes(32),
        host="10.0.0.1",
        port=1,
        subnet="x",
        mode="peer",
        wanted=ChunkSet(~nothing),
        held=ChunkSet(nothing),
        order=1,
    )
    taker = Taker(member=member, counted=True)
    assert (taker.total, taker.ahead) == (0, ASSIGNED_AHEAD)
    taker.open[2] = 0.0
    taker.served += 1
    assert taker.total == 2
