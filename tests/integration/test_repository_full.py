"""A real file system without room: the import fails clearly, what was there stays, and gc makes room again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import RepositoryFullError
from core.ids import ImageRef
from images.repository import Repository
from images.store.paths import RESERVE_BYTES
from tests.support.repositories import CHUNK, publish, store

pytestmark = pytest.mark.root
ROOM = 8 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(point)], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Take all room but `leave` bytes."""
    free = os.statvfs(folder)
    filler = folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free.f_bavail * free.f_bsize - leave, 4096))
    return filler


def failed_import(repository: Repository, *, seed: int, chunks: int, name: str = "room2") -> None:
    with repository.writer() as writer:
        repository.publish(store(writer, seed=seed, chunks=chunks, name=name), sign=None, writer=writer)


def test_an_import_into_a_full_disk_leaves_all_as_it_was(small_disk: Path) -> None:
    with Repository.create(small_disk / "repo") as repository:
        publish(repository, chunks=8)
        before = repository.stats()
        with pytest.raises(RepositoryFullError) as caught:
            failed_import(repository, seed=2, chunks=2 * ROOM // CHUNK)
        assert "no space" in str(caught.value)
        assert repository.stats() == before
        assert repository.verify().ok
        publish(repository, seed=3, chunks=8, name="room3")


@pytest.mark.parametrize("pages", [0, 1, 2, 3, 5, 8, 12, 16, 17, 18, 19, 24, 32, 40])
def test_room_may_end_at_any_step(small_disk: Path, pages: int) -> None:
    with Repository.create(small_disk / "repo") as repository:
        publish(repository, chunks=4)
    filler = fill(small_disk, pages * 4096)
    with Repository.open(small_disk / "repo") as repository:
        try:
            failed_import(repository, seed=2, chunks=1)
        except RepositoryFullError:
            assert [entry.name for entry in repository.images()] == ["room1"]
        assert not list(repository.paths.manifests.glob("*/.tmp-*"))
    filler.unlink()
    with Repository.open(small_disk / "repo") as repository:
        assert repository.verify().ok
        repository.gc()
        publish(repository, seed=3, chunks=8, name="room3")
        assert repository.verify().ok


def test_gc_makes_room_on_a_full_disk(small_disk: Path) -> None:
    with Repository.create(small_disk / "repo") as repository:
        publish(repository, chunks=8)
        publish(repository, seed=2, chunks=32, name="room2")
        repository.remove(ImageRef("room2"))
        with pytest.raises(RepositoryFullError):
            failed_import(repository, seed=4, chunks=2 * ROOM // CHUNK)
        assert repository.gc().bytes_freed >= 32 * CHUNK
        publish(repository, seed=5, chunks=32, name="room3")
        assert repository.verify().ok


def test_gc_makes_room_where_not_one_byte_is_left(small_disk: Path) -> None:
    with Repository.create(small_disk / "repo") as repository:
        publish(repository, chunks=8)
        publish(repository, seed=2, chunks=32, name="room2")
        repository.remove(ImageRef("room2"))
    rest = small_disk / "rest"
    with contextlib.suppress(OSError), rest.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert os.statvfs(small_disk).f_bavail == 0
    with Repository.open(small_disk / "repo") as repository:
        assert repository.gc().bytes_freed >= 32 * CHUNK
        assert repository.paths.reserve.stat().st_size == RESERVE_BYTES
        assert repository.verify().ok
