from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import LockedError, RepositoryError
from core.ids import ImageRef
from images.repository import Repository
from tests.support.repositories import CHUNK, KEY, publish

RECORD = 64 + CHUNK


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with Repository.create(tmp_path / "repo") as made:
        publish(made, seed=1, chunks=4)
        yield made


def reopened(repository: Repository) -> Repository:
    repository.close()
    return Repository.open(repository.paths.root)


def test_a_lost_index_is_made_again(repository: Repository) -> None:
    repository.close()
    repository.paths.index.unlink()
    with Repository.open(repository.paths.root) as again:
        with pytest.raises(RepositoryError, match="missing"):
            again.stats()
        report = again.rebuild_index()
        assert (report.packs, report.records, report.chunks) == (1, 4, 4)
        assert report.damaged == report.incomplete == ()
        assert again.verify(public_key=KEY.public).ok


@pytest.mark.parametrize("rubbish", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_garbage_index_is_reported_and_then_made_again(repository: Repository, rubbish: bytes) -> None:
    repository.close()
    repository.paths.index.write_bytes(rubbish)
    with Repository.open(repository.paths.root) as again:
        with pytest.raises(RepositoryError, match="index") as caught:
            again.stats()
        assert "--rebuild" in str(caught.value.hint)
        with pytest.raises(RepositoryError), again.writer():
            pass
        assert again.rebuild_index().chunks == 4
        assert again.verify().ok


def test_damage_in_the_middle_of_the_index_is_repaired(repository: Repository) -> None:
    repository.close()
    data = bytearray(repository.paths.index.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    repository.paths.index.write_bytes(data)
    with Repository.open(repository.paths.root) as again:
        assert again.rebuild_index().chunks == 4
        assert again.verify().ok


def test_records_after_a_damaged_one_are_found(repository: Repository) -> None:
    for offset in (16 + RECORD, 16 + 2 * RECORD + 64):  # the header of one record, the bytes of the next
        with repository.paths.pack(1).open("r+b") as file:
            file.seek(offset)
            file.write(b"XXXX")
    report = repository.rebuild_index()
    assert report.chunks == 2
    assert [(stretch.offset, stretch.torn) for stretch in report.damaged] == [
        (16 + RECORD, False),
        (16 + 2 * RECORD, False),
    ]
    assert [(image.ref, image.missing) for image in report.incomplete] == [(ImageRef("room1", 1), 2)]


def test_a_torn_tail_is_not_called_damage(repository: Repository) -> None:
    with repository.paths.pack(1).open("ab") as file:
        file.write(b"OGRC" + bytes(30))
    report = repository.rebuild_index()
    assert [stretch.torn for stretch in report.damaged] == [True]
    assert report.incomplete == ()


def test_a_file_that_is_no_pack_is_passed_over(repository: Repository) -> None:
    repository.paths.pack(7).write_bytes(b"not a pack at all" * 10)
    report = repository.rebuild_index()
    assert report.chunks == 4
    assert [(stretch.pack, stretch.torn) for stretch in report.damaged] == [(7, False)]


def test_a_damaged_manifest_is_named(repository: Repository) -> None:
    repository.find(ImageRef("room1")).path.write_bytes(b"rubbish")
    assert "manifest" in repository.rebuild_index().incomplete[0].reason


def test_a_rebuild_waits_for_writers(repository: Repository) -> None:
    with repository.writer(), pytest.raises(LockedError):
        repository.rebuild_index(wait_s=0.1)


def test_a_reader_open_meanwhile_sees_the_new_index(repository: Repository) -> None:
    with repository.pin(ImageRef("room1")) as pinned:
        digest = pinned.manifest.digest(0)
    with Repository.open(repository.paths.root) as reader:
        repository.forget([digest])
        assert reader.contains([digest]) == [False]
        for suffix in ("", "-wal", "-shm"):
            Path(f"{repository.paths.index}{suffix}").unlink(missing_ok=True)
        repository.close()
        with Repository.open(repository.paths.root) as mender:
            mender.rebuild_index()
        assert reader.locate(digest).raw_length == CHUNK
