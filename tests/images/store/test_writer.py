from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import LockedError, RepositoryFullError
from images.digest import digest_of
from images.repository import Repository
from images.store import pack_writer, writer
from images.store.lock import exclusive_lock
from images.store.pack_writer import PackWriter
from images.stores import Encoding
from tests.support.repositories import CHUNK, store


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with Repository.create(tmp_path / "repo") as made:
        yield made


def test_a_writer_that_appends_nothing_leaves_nothing(repository: Repository) -> None:
    with repository.writer() as idle:
        idle.flush()
    assert repository.paths.pack_numbers() == []
    idle.close()


def test_packs_are_rolled_at_their_bound(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_writer, "PACK_BYTES_MAX", 3 * CHUNK)
    with repository.writer() as rolling:
        manifest = store(rolling, seed=1, chunks=5)
        repository.publish(manifest, sign=None, writer=rolling)
    assert repository.paths.pack_numbers() == [1, 2, 3]
    assert repository.verify().ok


def test_chunks_become_visible_by_themselves_after_some_bytes(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "FLUSH_BYTES", 2 * CHUNK)
    with repository.writer() as flushing:
        store(flushing, seed=1, chunks=5)
        assert repository.stats().chunks == 4
        assert flushing.bytes_new == 5 * CHUNK
    assert repository.stats().chunks == 5


def test_a_full_disk_gives_back_what_was_not_flushed(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(pack: PackWriter, *_: object) -> int:
        raise RepositoryFullError("full")

    with pytest.raises(RepositoryFullError), repository.writer() as failing:  # noqa: PT012
        store(failing, seed=1, chunks=2)
        monkeypatch.setattr(PackWriter, "append", full)
        store(failing, seed=2, chunks=1)
    assert repository.paths.pack_numbers() == []
    assert repository.stats().chunks == 0


def test_writers_of_many_threads_store_the_same_image_at_once(repository: Repository) -> None:
    def work() -> None:
        with repository.writer() as one:
            repository.publish(store(one, seed=1, chunks=20), sign=None, writer=one)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.version for entry in repository.images()] == [1, 2, 3, 4]
    assert repository.stats().chunks == 20
    assert repository.verify().ok
    repository.gc()
    assert repository.verify().ok


def test_a_writer_waits_for_gc_and_then_gives_up(repository: Repository) -> None:
    with exclusive_lock(repository.paths.lock), pytest.raises(LockedError):
        repository.writer(wait_s=0.1)
    with repository.writer():
        pass


def test_a_chunk_appended_twice_is_written_once(repository: Repository) -> None:
    raw = random.Random(1).randbytes(1000)
    with repository.writer() as twice:
        for _ in range(2):
            twice.append(digest_of(raw), raw, encoding=Encoding.RAW, raw_length=1000)
        twice.flush()
        twice.append(digest_of(raw), raw, encoding=Encoding.RAW, raw_length=1000)
        assert (twice.chunks_new, twice.bytes_new) == (1, 1000)
