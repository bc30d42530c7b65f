"""A liar holds something else than it was given."""

from __future__ import annotations

import pytest

from bench.lab.liar import lie
from core.ids import ChunkIndex
from images.stores import Encoding
from transports.p2p.shelf import Shelf


def test_one_byte_of_what_is_passed_on_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bytes] = []
    monkeypatch.setattr(Shelf, "add", lambda self, chunk, frame, encoding: kept.append(bytes(frame)))
    lie()
    Shelf.add(object.__new__(Shelf), ChunkIndex(0), b"abcde", Encoding.RAW)
    assert len(kept[0]) == 5
    assert [place for place in range(5) if kept[0][place] != b"abcde"[place]] == [2]
