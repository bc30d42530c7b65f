"""The sample image is what its manifest says."""

from __future__ import annotations

import pytest

from core.errors import ChunkError
from images.digest import digest_of
from images.stores import Encoding
from transports.conformance.sample import sample_image


def test_the_sample_has_both_encodings_and_a_short_last_chunk() -> None:
    manifest, store, raws = sample_image()
    with store:
        assert manifest.digests() == [digest_of(raw) for raw in raws]
        assert manifest.raw_length(len(raws) - 1) == 777
        assert {store.locate(digest).encoding for digest in manifest.digests()} == {Encoding.RAW, Encoding.ZSTD}


def test_a_lost_chunk_cannot_be_read() -> None:
    manifest, store, _ = sample_image(chunks=2)
    with store:
        store.lose(manifest.digest(1))
        with pytest.raises(ChunkError):
            store.locate(manifest.digest(1))
