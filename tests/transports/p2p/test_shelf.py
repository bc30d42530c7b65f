"""What a peer holds: the ring, and the CACHE behind it."""

from __future__ import annotations

from core.ids import ChunkIndex
from images.stores import Encoding
from transports.conformance.sample import CHUNK_BYTES, sample_image
from transports.member.proto.maps import unpack_wants
from transports.p2p.ring import Ring
from transports.p2p.shelf import Shelf


def test_what_is_verified_is_held_and_told_and_what_is_dropped_too() -> None:
    manifest, store, _ = sample_image(chunks=10)
    store.close()
    shelf = Shelf(manifest)
    shelf.ring = Ring(
        manifest, limit_bytes=0, on_dropped=shelf._handle_dropped, free_bytes=lambda: 1, segment_bytes=CHUNK_BYTES
    )
    news: list[int] = []
    gone: list[int] = []
    shelf.on_news, shelf.on_gone = news.extend, gone.extend
    for chunk in range(3):
        shelf.add(ChunkIndex(chunk), b"x" * CHUNK_BYTES, Encoding.RAW)
    assert (news, gone) == ([0, 1, 2], [0, 1])
    assert [chunk for chunk in range(10) if shelf.holds(chunk)] == [2]
    assert unpack_wants(shelf.packed(), 10).tolist() == [chunk == 2 for chunk in range(10)]
    shelf.close()


def test_the_cache_holds_what_the_ring_let_go() -> None:
    manifest, store, _ = sample_image(chunks=10)
    with store:
        shelf = Shelf(manifest, cache=store)
        shelf.look_up()
        assert shelf.count == 10
        assert shelf.locate(manifest.digest(ChunkIndex(4))).length > 0
        assert shelf.contains([manifest.digest(ChunkIndex(4))]) == [True]
        shelf.close()
