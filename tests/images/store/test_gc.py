from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import ChunkError, LockedError, RepositoryError
from core.ids import ImageRef
from images.repository import Repository
from images.signing import SigningKey
from tests.support.repositories import CHUNK, KEY, publish, store


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with Repository.create(tmp_path / "repo") as made:
        yield made


def whole(repository: Repository) -> bool:
    return repository.verify(workers=1).ok


def test_a_repository_in_use_loses_nothing(repository: Repository) -> None:
    publish(repository)
    before = repository.stats()
    report = repository.gc()
    assert (report.chunks_removed, report.bytes_freed, report.packs_rewritten) == (0, 0, 0)
    assert repository.stats() == before
    assert whole(repository)


def test_a_removed_image_gives_its_room_back(repository: Repository) -> None:
    publish(repository, seed=1, chunks=4)
    publish(repository, seed=2, chunks=4, name="room2")
    repository.remove(ImageRef("room1"))
    report = repository.gc()
    assert (report.manifests_removed, report.chunks_removed, report.chunks_kept) == (1, 4, 4)
    assert report.packs_removed == 1
    assert report.bytes_freed > 4 * CHUNK
    assert repository.stats().pack_bytes < 5 * CHUNK
    assert list(repository.paths.trash.iterdir()) == []
    assert [path.name for path in (repository.paths.manifests / "room1").iterdir()] == ["last"]
    assert whole(repository)


def test_a_dry_run_says_the_same_and_does_nothing(repository: Repository) -> None:
    publish(repository, seed=1, chunks=4)
    publish(repository, seed=2, chunks=4, name="room2")
    repository.remove(ImageRef("room1"))
    before = repository.stats()
    guess = repository.gc(dry_run=True)
    assert repository.stats() == before
    report = repository.gc()
    assert (guess.chunks_removed, guess.packs_removed, guess.bytes_freed) == (
        report.chunks_removed,
        report.packs_removed,
        report.bytes_freed,
    )


def test_a_pack_less_than_half_live_is_rewritten(repository: Repository) -> None:
    with repository.writer() as writer:
        repository.publish(store(writer, seed=1, chunks=10), sign=None, writer=writer)
        repository.publish(store(writer, seed=3, chunks=3, name="part"), sign=None, writer=writer)
    repository.remove(ImageRef("room1"))
    report = repository.gc()
    assert report.packs_rewritten == 1
    assert report.bytes_freed >= 10 * CHUNK
    assert repository.paths.pack_numbers() == [2]
    assert whole(repository)


def test_a_reader_follows_a_chunk_that_gc_moved(repository: Repository) -> None:
    with repository.writer() as writer:
        repository.publish(store(writer, seed=1, chunks=10), sign=None, writer=writer)
        repository.publish(store(writer, seed=3, chunks=3, name="part"), sign=None, writer=writer)
    repository.remove(ImageRef("room1"))
    with repository.pin(ImageRef("part")) as pinned:
        digest = pinned.manifest.digest(1)
        old = repository.locate(digest)
        content = os.pread(old.fd, old.length, old.offset)
        with Repository.open(repository.paths.root) as other:
            other.gc()
        assert os.pread(old.fd, old.length, old.offset) == content
        new = repository.locate(digest)
        assert (new.fd, os.pread(new.fd, new.length, new.offset)) != (old.fd, b"")
        assert os.pread(new.fd, new.length, new.offset) == content


def test_a_chunk_whose_pack_vanished_is_an_error_and_not_a_loop(repository: Repository) -> None:
    publish(repository)
    repository.paths.pack(1).unlink()
    with repository.pin(ImageRef("room1")) as pinned, pytest.raises(ChunkError, match="missing"):
        repository.locate(pinned.manifest.digest(0))


def test_what_a_crash_left_is_swept(repository: Repository) -> None:
    publish(repository)
    orphan = repository.paths.pack(2)
    orphan.write_bytes(repository.paths.pack(1).read_bytes())
    repository.paths.pack(3).write_bytes(b"")
    with repository.paths.pack(1).open("ab") as torn:
        torn.write(b"OGRC" + bytes(1000))
    (repository.paths.manifests / "room1" / ".tmp-0123").write_bytes(b"half")
    repository.gc()
    assert repository.paths.pack_numbers() == [1, 3]
    assert repository.stats().pack_bytes == repository.paths.pack(1).stat().st_size
    assert sorted(path.name for path in (repository.paths.manifests / "room1").iterdir()) == ["1.ogm", "last"]
    assert repository.rebuild_index().damaged[0].pack == 3
    assert whole(repository)


def test_a_pack_number_is_never_given_twice(repository: Repository) -> None:
    publish(repository)
    repository.remove(ImageRef("room1"))
    repository.gc()
    assert repository.paths.pack_numbers() == [1]
    assert repository.stats().pack_bytes == 16
    publish(repository)
    assert repository.paths.pack_numbers() == [1, 2]


def test_gc_waits_for_writers_and_then_gives_up(repository: Repository) -> None:
    with repository.writer(), pytest.raises(LockedError, match="in use"):
        repository.gc(wait_s=0.1)
    repository.gc(wait_s=0.1)


def test_a_damaged_manifest_stops_gc_before_anything_is_lost(repository: Repository) -> None:
    publish(repository)
    repository.find(ImageRef("room1")).path.write_bytes(b"rubbish")
    before = repository.stats()
    with pytest.raises(RepositoryError, match="damaged"):
        repository.gc()
    assert repository.stats() == before


def test_a_damaged_pack_is_kept_as_it_is(repository: Repository) -> None:
    with repository.writer() as writer:
        repository.publish(store(writer, seed=1, chunks=10), sign=None, writer=writer)
        repository.publish(store(writer, seed=3, chunks=3, name="part"), sign=None, writer=writer)
    with repository.paths.pack(1).open("r+b") as file:
        file.seek(-CHUNK // 2, os.SEEK_END)
        file.write(b"flipped")
    repository.remove(ImageRef("room1"))
    assert repository.gc().packs_left == 1
    report = repository.verify(workers=1)
    assert [chunk.pack for chunk in report.damaged_chunks] == [1]
    assert [image.ref.name for image in report.damaged_images] == ["part"]


SESSION = """
import sys
from core.ids import ImageRef
from images.repository import Repository
with Repository.open(sys.argv[1]) as repository, repository.pin(ImageRef("room1")) as pinned:
    print("pinned", flush=True)
    sys.stdin.readline()
    print(all(repository.contains(pinned.manifest.digests())), flush=True)
"""


def test_a_session_in_another_process_keeps_a_removed_image_through_gc(repository: Repository) -> None:
    publish(repository, seed=1, chunks=4)
    publish(repository, seed=2, chunks=4, name="room2")
    with subprocess.Popen(
        [sys.executable, "-c", SESSION, repository.paths.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    ) as session:
        assert session.stdout is not None
        assert session.stdout.readline() == "pinned\n"
        repository.remove(ImageRef("room1"))
        report = repository.gc()
        assert (report.manifests_removed, report.chunks_removed) == (0, 0)
        assert session.communicate("let go\n") == ("True\n", None)
    assert repository.gc().chunks_removed == 4


def test_gc_beside_an_index_that_is_gone_removes_nothing(tmp_path: Path) -> None:
    with Repository.create(tmp_path / "repo") as made:
        publish(made)
    (tmp_path / "repo" / "index.sqlite").unlink()
    with Repository.open(tmp_path / "repo") as opened:
        with pytest.raises(RepositoryError, match="missing"):
            opened.gc()
        opened.rebuild_index()
        assert whole(opened)


def test_a_manifest_changed_after_it_was_signed_stops_gc(repository: Repository) -> None:
    path = repository.find(publish(repository)).path
    before, data = repository.stats(), bytearray(path.read_bytes())
    data[-100] ^= 1  # in the chunk table: it parses, and names a chunk that is none
    path.write_bytes(data)
    with pytest.raises(RepositoryError, match="damaged: wrong signature"):
        repository.gc(public_key=KEY.public)
    assert repository.stats() == before


def test_a_manifest_of_another_key_is_kept_and_stops_nothing(repository: Repository) -> None:
    publish(repository)
    assert repository.gc(public_key=SigningKey.generate().public).chunks_removed == 0
    assert whole(repository)
