from __future__ import annotations

from pathlib import Path

from core.ids import ImageRef
from images.repository import Repository
from tests.support.repositories import CHUNK, publish


def test_diff_counts_what_is_shared_new_and_gone(tmp_path: Path) -> None:
    with Repository.create(tmp_path / "repo") as repository:
        publish(repository, seed=1, chunks=4)
        publish(repository, seed=1, chunks=6)
        report = repository.diff(ImageRef("room1", 1), ImageRef("room1", 2))
        assert (report.chunks_shared, report.chunks_new, report.chunks_gone) == (4, 2, 0)
        assert (report.raw_bytes_shared, report.raw_bytes_new) == (4 * CHUNK, 2 * CHUNK)
        assert (report.stored_bytes_shared, report.stored_bytes_new) == (4 * CHUNK, 2 * CHUNK)
        assert repository.diff(ImageRef("room1", 2), ImageRef("room1", 1)).chunks_gone == 2
