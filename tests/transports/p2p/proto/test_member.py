"""What repod keeps of a member."""

from __future__ import annotations

import msgspec

from tests.transports.p2p.proto.test_messages import HEALTH
from transports.p2p.proto.chunkset import ChunkSet
from transports.p2p.proto.member import Member, Traffic


def _member(**fields: object) -> Member:
    usual = {
        "id": 1,
        "session": "s",
        "key": bytes(32),
        "host": "10.0.0.1",
        "port": 1,
        "subnet": "x",
        "mode": "peer",
        "wanted": ChunkSet.of(3, [1]),
        "held": ChunkSet.of(3, [0]),
        "order": 1,
    }
    return Member(**{**usual, **fields})  # type: ignore[arg-type]


def test_it_serves_when_it_is_here_listens_and_is_willing() -> None:
    assert _member().serves
    for fields in ({"here": False}, {"port": 0}, {"mode": "leecher"}, {"banned": "bad chunks"}):
        assert not _member(**fields).serves


def test_it_lacks_something_while_it_may_have_it() -> None:
    assert _member().lacks
    assert _member(mode="leecher").lacks
    for fields in ({"here": False}, {"banned": "bad chunks"}, {"wanted": ChunkSet.of(3)}):
        assert not _member(**fields).lacks


def test_its_key_is_not_printed() -> None:
    assert "key" not in repr(_member())


def test_traffic_grows_by_what_the_figures_grew() -> None:
    traffic = Traffic()
    first = msgspec.structs.replace(HEALTH, from_same=10, from_other=5, from_origin=1)
    traffic.add(first, None)
    traffic.add(msgspec.structs.replace(first, from_same=30), first)
    assert (traffic.same, traffic.other, traffic.origin) == (30, 5, 1)
    traffic.add(msgspec.structs.replace(HEALTH, from_same=1, from_other=0, from_origin=0), first)
    assert (traffic.same, traffic.other, traffic.origin) == (31, 5, 1)
