from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from client.preflight import Needs, open_target
from client.proto.plan import RestorePlan
from client.readback import check_zeros, matching_chunks
from client.sinks.base import Sink
from core.errors import TransferError
from core.ids import ChunkIndex
from images.extents import Extents
from images.manifest import parse_manifest
from images.memstore import MemoryStore
from tests.support.images import make_image

CHUNK = 65536


@pytest.fixture
def restored(tmp_path: Path) -> tuple[Sink, RestorePlan, Path]:
    extents = Extents.from_lengths([4096, CHUNK - 4096, 4 * CHUNK, CHUNK], [0, 2, 0, 1])
    with MemoryStore() as store:
        made = make_image(store, extents)
    path = tmp_path / "disk.img"
    path.write_bytes(made.expected_on(os.urandom(extents.size)))
    opened = open_target(str(path), Needs(size=extents.size, data_bytes=0, sector_size=512, alignment=0))
    return opened.sink, RestorePlan(parse_manifest(made.manifest)), path


def _all(plan: RestorePlan) -> list[ChunkIndex]:
    return [ChunkIndex(chunk) for chunk in range(plan.manifest.chunk_count)]


def test_free_space_may_hold_anything(restored: tuple[Sink, RestorePlan, Path]) -> None:
    sink, plan, _ = restored
    told: list[tuple[int, bool]] = []
    good = matching_chunks(sink, plan, _all(plan), workers=2, on_checked=lambda *pair: told.append(pair))
    assert good == set(range(5))
    assert told == [(chunk, True) for chunk in range(5)]
    check_zeros(sink, plan)
    sink.close()


def test_what_differs_is_left_out(restored: tuple[Sink, RestorePlan, Path]) -> None:
    sink, plan, path = restored
    with path.open("r+b") as file:
        file.seek(3 * CHUNK)
        file.write(b"\xff" * 512)
        file.seek(5 * CHUNK + 10)
        file.write(b"\xff")
    assert matching_chunks(sink, plan, _all(plan), workers=1) == {0, 1, 2, 4}
    with pytest.raises(TransferError, match="do not read back as zero"):
        check_zeros(sink, plan)
    sink.close()


def test_it_ends_early_when_cancelled(restored: tuple[Sink, RestorePlan, Path]) -> None:
    sink, plan, _ = restored
    cancelled = threading.Event()
    cancelled.set()
    assert matching_chunks(sink, plan, _all(plan), workers=1, cancelled=cancelled) == set()
    check_zeros(sink, plan, cancelled=cancelled)
    sink.close()
