"""What gc finds before it removes: chunks that images need and the index lost."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.repository import Repository
from tests.support.repositories import CHUNK, publish


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with Repository.create(tmp_path / "repo") as made:
        yield made


def test_chunks_that_an_older_index_does_not_know_are_found_before_their_pack_goes(repository: Repository) -> None:
    publish(repository, seed=1, chunks=4)
    old = repository.paths.index.with_name("backup")
    with sqlite3.connect(repository.paths.index) as source, sqlite3.connect(old) as target:
        source.backup(target)
    publish(repository, seed=2, chunks=4, name="room2")
    for connection in (source, target):
        connection.close()
    with Repository.open(repository.paths.root) as opened:
        for path in opened.paths.root.glob("index.sqlite*"):
            path.unlink()
        old.rename(opened.paths.index)
        assert opened.gc(dry_run=True).chunks_found == 4
        assert len(opened.verify(workers=1).damaged_chunks) == 4, "a dry run mends nothing"
        report = opened.gc()
        assert (report.chunks_found, report.chunks_removed, report.packs_removed) == (4, 0, 0)
        assert opened.verify(workers=1).ok


def test_a_forgotten_chunk_that_is_damaged_is_not_taken_up_again(repository: Repository) -> None:
    publish(repository, chunks=4)
    with repository.paths.pack(1).open("r+b") as file:
        file.seek(-CHUNK // 2, os.SEEK_END)
        file.write(b"flipped")
    assert repository.forget_damaged(repository.verify(workers=1).damaged_chunks) == 1
    assert repository.gc().chunks_found == 0
    assert len(repository.verify(workers=1).damaged_chunks) == 1
