"""What somebody took, and what is under way to it."""

from __future__ import annotations

import numpy as np

from transports.p2p.proto.chunkset import ChunkSet
from transports.p2p.proto.limits import ASSIGNED_AHEAD
from transports.p2p.proto.member import Member
from transports.p2p.proto.taker import REST_FIRST_S, REST_MAX_S, Taker


def _member() -> Member:
    nothing = np.zeros(4, dtype=np.bool_)
    return Member(
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


def test_what_is_under_way_counts_as_taken() -> None:
    taker = Taker(member=_member(), counted=True)
    assert (taker.total, taker.ahead) == (0, ASSIGNED_AHEAD)
    taker.open[2] = 0.0
    taker.served += 1
    assert taker.total == 2


def test_who_brought_nothing_yet_is_not_quiet_and_who_did_is_after_a_while() -> None:
    taker = Taker(member=_member(), counted=True, verified_at=1.0)
    assert not taker.is_quiet(100.0, 2.0)
    taker.took_s = 0.5
    assert not taker.is_quiet(2.9, 2.0)
    assert taker.is_quiet(3.0, 2.0)


def test_each_strike_in_a_row_doubles_the_rest() -> None:
    taker = Taker(member=_member(), counted=True, ahead=8)
    for times in (1, 2, 4):
        taker.strike(10.0)
        assert (taker.rests_until, taker.ahead) == (10.0 + times * REST_FIRST_S, 1)
    for _ in range(20):
        taker.strike(10.0)
    assert taker.rests_until == 10.0 + REST_MAX_S
