"""A liar gives something else than it was given."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from bench.lab.liar import lie
from core.ids import ChunkIndex
from images.stores import Encoding, StoredChunk
from transports.conformance.sample import CHUNK_BYTES, sample_image
from transports.p2p.shelf import Shelf


class _Target:
    """Every frame lies on it as it came."""

    def __init__(self) -> None:
        self.on_written: Callable[[list[ChunkIndex]], None] = lambda chunks: None

    def place(self, chunk: ChunkIndex, encoding: Encoding, length: int) -> StoredChunk | None:
        return StoredChunk(fd=-1, offset=0, length=length, encoding=encoding, raw_length=length)


@pytest.mark.parametrize("on_target", [False, True])
def test_one_byte_of_what_is_passed_on_is_wrong(monkeypatch: pytest.MonkeyPatch, on_target: bool) -> None:
    for name in ("add", "use"):
        monkeypatch.setattr(Shelf, name, getattr(Shelf, name))  # put back afterwards
    lie()
    manifest, store, _ = sample_image(chunks=2)
    store.close()
    shelf = Shelf(manifest)
    if on_target:
        shelf.use(_Target())
    frame = bytes(CHUNK_BYTES)
    shelf.add(ChunkIndex(0), frame, Encoding.RAW)
    assert shelf.holds(0)
    place = shelf.locate(manifest.digest(ChunkIndex(0)))
    given = os.pread(place.fd, place.length, place.offset)
    shelf.close()
    assert [at for at in range(len(frame)) if given[at : at + 1] != frame[at : at + 1]] == [len(frame) // 2]
