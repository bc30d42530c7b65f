"""Bytes are counted by where they came from."""

from __future__ import annotations

from core.ids import ChunkIndex
from images.digest import digest_of
from images.stores import Encoding
from transports.base import Delivery
from transports.p2p.proto.requests import ORIGIN
from transports.p2p.traffic import Traffic, digest_received, source_name, source_of


def test_sources_have_names_that_lead_back() -> None:
    for source in (ORIGIN, 1, 4_000_000_000):
        assert source_of(source_name(source)) == source


def test_totals_and_rate() -> None:
    traffic = Traffic(now=0.0)
    traffic.note(ORIGIN, 10, near=False)
    traffic.note(1, 20, near=True)
    traffic.note(2, 40, near=False)
    health = traffic.health(now=2.0, missing=1, sent=5, sent_far=2, duplicates=0, backlog=2.0, held=3, neighbours=2)
    assert (health.from_origin, health.from_same, health.from_other, health.rate) == (10, 20, 40, 35)
    assert (health.up_same, health.up_other) == (3, 2)
    assert health.backlog == 1


def test_what_does_not_decode_has_no_digest() -> None:
    def delivery(data: bytes, encoding: Encoding) -> Delivery:
        return Delivery(
            chunk=ChunkIndex(0), encoding=encoding, frame=memoryview(data), source="peer 1", release=lambda: None
        )

    assert digest_received(delivery(b"four", Encoding.RAW), 4) == digest_of(b"four")
    assert digest_received(delivery(b"four", Encoding.ZSTD), 4) == bytes(32)
