"""Nothing is given that was not proven, and what is damaged is not held."""

from __future__ import annotations

import os

import pytest

from client.proven import ProvenChunks
from core.errors import ChunkError
from core.ids import ChunkIndex, Digest
from images.codec import encode
from images.stores import Encoding
from transports.conformance.sample import CHUNK_BYTES, SampleStore, sample_image


def test_what_is_whole_is_found_and_read_once() -> None:
    manifest, store, _ = sample_image(chunks=6)
    with store:
        chunks = ProvenChunks(store, manifest)
        for chunk in range(6):
            digest = manifest.digest(ChunkIndex(chunk))
            assert chunks.locate(digest) == chunks.locate(digest) == store.locate(digest)
        assert chunks.contains(manifest.digests()) == [True] * 6


@pytest.mark.parametrize("kind", ["other content", "rubbish", "short"])
def test_what_is_damaged_is_never_given_and_told_once(kind: str) -> None:
    manifest, whole, raws = sample_image(chunks=3)
    whole.close()
    encoding, stored = encode(raws[1], 1)
    wrong = {"other content": (Encoding.RAW, os.urandom(CHUNK_BYTES)), "rubbish": (Encoding.ZSTD, b"rubbish" * 9)}
    encoding, stored = wrong.get(kind, (encoding, bytes(stored)[:-1]))
    told: list[Digest] = []
    with SampleStore() as store:
        digest = manifest.digest(ChunkIndex(1))
        store.append(digest, stored, encoding=encoding, raw_length=len(raws[1]))
        chunks = ProvenChunks(store, manifest, on_damaged=told.append)
        assert chunks.contains([digest]) == [True]
        for _ in range(2):
            with pytest.raises(ChunkError):
                chunks.locate(digest)
        assert chunks.contains([digest]) == [False]
    assert told == [digest]


def test_what_is_not_there_is_no_damage() -> None:
    manifest, store, _ = sample_image(chunks=3)
    told: list[Digest] = []
    with store:
        digest = manifest.digest(ChunkIndex(2))
        store.lose(digest)
        chunks = ProvenChunks(store, manifest, on_damaged=told.append)
        with pytest.raises(ChunkError):
            chunks.locate(digest)
    assert told == []
