"""What lies on the target is found where it lies, and the oldest is let go of beyond the limit."""

from __future__ import annotations

import pytest

from core.errors import ChunkError
from core.ids import ChunkIndex
from images.manifest import Manifest
from images.stores import Encoding, StoredChunk
from transports.conformance.sample import CHUNK_BYTES, sample_image
from transports.p2p.lent import Lent


@pytest.fixture
def manifest() -> Manifest:
    manifest, store, _ = sample_image(chunks=8)
    store.close()
    return manifest


def place(chunk: int) -> StoredChunk:
    return StoredChunk(
        fd=3, offset=chunk * CHUNK_BYTES, length=CHUNK_BYTES, encoding=Encoding.RAW, raw_length=CHUNK_BYTES
    )


def test_what_was_added_is_found_and_nothing_else(manifest: Manifest) -> None:
    lent = Lent(manifest)
    lent.add(ChunkIndex(2), place(2))
    assert lent.locate(manifest.digest(ChunkIndex(2))) == place(2)
    assert manifest.digest(ChunkIndex(2)) in lent
    with pytest.raises(ChunkError, match="not known to be on the target"):
        lent.locate(manifest.digest(ChunkIndex(3)))
    lent.clear()
    assert manifest.digest(ChunkIndex(2)) not in lent


def test_beyond_the_limit_the_oldest_is_let_go_of_and_told(manifest: Manifest) -> None:
    dropped: list[int] = []
    lent = Lent(manifest, limit_bytes=3 * CHUNK_BYTES, on_dropped=dropped.extend)
    for chunk in range(5):
        lent.add(ChunkIndex(chunk), place(chunk))
        lent.add(ChunkIndex(chunk), place(chunk))
    assert dropped == [0, 1]
    assert [manifest.digest(ChunkIndex(chunk)) in lent for chunk in range(6)] == [False, False, True, True, True, False]
