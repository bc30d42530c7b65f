from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import ChunkError, ManifestError, NotFoundError, RepositoryError, RepositoryTroubleError
from core.ids import ImageRef
from images.digest import digest_of
from images.manifest import parse_manifest, sign_manifest
from images.repository import Repository
from tests.contract.stores import CHECKS, Check, Store
from tests.support.repositories import CHUNK, KEY, publish, store


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with Repository.create(tmp_path / "repo") as made:
        yield made


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_repository_keeps_the_contract_of_stores(repository: Repository, check: Check) -> None:
    with repository.writer() as writer:
        check(Store(reader=repository, writer=writer, settle=writer.flush))


def test_an_image_is_seen_only_once_it_is_published(repository: Repository) -> None:
    with repository.writer() as writer:
        manifest = store(writer, seed=1, chunks=4)
        writer.flush()
        assert repository.images() == []
        published = repository.publish(manifest, sign=KEY, writer=writer)
    assert [entry.ref for entry in repository.images()] == [ImageRef("room1", 1)]
    published.verify(KEY.public)
    with Repository.open(repository.paths.root) as again, again.pin(ImageRef("room1")) as pinned:
        assert pinned.data == published.data
        assert all(again.contains(pinned.manifest.digests()))


def test_the_same_name_makes_the_next_version_and_stores_only_what_is_new(repository: Repository) -> None:
    assert publish(repository, chunks=4) == ImageRef("room1", 1)
    with repository.writer() as writer:
        manifest = store(writer, seed=1, chunks=5)
        assert writer.bytes_new == CHUNK
        assert repository.publish(manifest, sign=KEY, writer=writer).ref == ImageRef("room1", 2)
    assert repository.find(ImageRef("room1")).version == 2
    assert repository.find(ImageRef("room1", 1)).version == 1
    assert repository.stats().chunks == 5


def test_how_the_newest_version_is_cut_is_told_where_it_can_be_read(repository: Repository) -> None:
    assert repository.chunk_size_of("room1") is None
    publish(repository)
    assert repository.chunk_size_of("room1") == CHUNK
    repository.find(ImageRef("room1")).path.write_bytes(b"damaged")
    assert repository.chunk_size_of("room1") is None


def test_a_removed_number_is_not_given_again_while_it_is_in_the_trash(repository: Repository) -> None:
    publish(repository)
    repository.remove(ImageRef("room1"))
    assert repository.images() == []
    assert publish(repository) == ImageRef("room1", 2)


def test_an_image_with_a_missing_chunk_is_not_published(repository: Repository, tmp_path: Path) -> None:
    with Repository.create(tmp_path / "other") as other, other.writer() as elsewhere:
        manifest = store(elsewhere, seed=9, chunks=3)
    with repository.writer() as writer, pytest.raises(RepositoryError, match="3 chunks"):
        repository.publish(manifest, sign=KEY, writer=writer)
    with pytest.raises(RepositoryError, match="3 chunks"):
        repository.adopt(sign_manifest(manifest, KEY))
    assert repository.images() == []


def test_an_unknown_image_is_named_with_those_that_come_close(repository: Repository) -> None:
    publish(repository, name="aula-12")
    with pytest.raises(NotFoundError) as caught:
        repository.find(ImageRef("aula-21"))
    assert "aula-12" in str(caught.value.hint)
    with pytest.raises(NotFoundError, match="version 7"):
        repository.find(ImageRef("aula-12", 7))


def test_a_cache_takes_a_signed_manifest_as_it_is(repository: Repository) -> None:
    with repository.writer() as writer:
        signed = sign_manifest(store(writer, seed=1, chunks=2, version=41), KEY)
    repository.adopt(signed)
    repository.adopt(signed)
    with repository.pin(ImageRef("room1", 41)) as pinned:
        assert pinned.data == signed


def test_another_manifest_of_the_same_version_replaces_the_first_one(repository: Repository) -> None:
    for seed in (1, 2):
        with repository.writer() as writer:
            signed = sign_manifest(store(writer, seed=seed, chunks=2, version=5), KEY)
        repository.adopt(signed)
    with repository.pin(ImageRef("room1", 5)) as pinned:
        assert pinned.data == signed
    assert len(list(repository.paths.trash.iterdir())) == 1


def test_a_chunk_behind_the_end_of_its_pack_is_not_given_out(repository: Repository) -> None:
    publish(repository, chunks=4)
    with repository.pin(ImageRef("room1")) as pinned:
        first, *_, last = sorted(pinned.manifest.digests(), key=lambda digest: repository.locate(digest).offset)
    place = repository.locate(last)
    os.truncate(repository.paths.pack(1), place.offset + place.length - 1)
    with pytest.raises(ChunkError, match="ends early"):
        repository.locate(last)
    repository.locate(first)


def test_a_chunk_that_was_forgotten_counts_as_missing(repository: Repository) -> None:
    publish(repository)
    with repository.pin(ImageRef("room1")) as pinned:
        digest = pinned.manifest.digest(2)
        assert repository.forget([digest]) == 1
        assert repository.missing(pinned.manifest) == 1
        with pytest.raises(ChunkError):
            repository.locate(digest)
        with repository.writer() as writer:
            store(writer, seed=1, chunks=4)
            assert writer.chunks_new == 1
        assert repository.missing(pinned.manifest) == 0


def test_a_pack_that_cannot_be_opened_now_says_nothing_of_its_chunks(repository: Repository) -> None:
    publish(repository)
    with repository.pin(ImageRef("room1")) as pinned:
        digest = pinned.manifest.digest(2)
    assert repository.contains([digest]) == [True]  # the index is open from here on
    _, most = before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, most))
    try:
        with pytest.raises(RepositoryTroubleError, match="Too many open files"):
            repository.locate(digest)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert repository.locate(digest).raw_length == CHUNK


def test_the_stored_bytes_of_an_image_are_those_of_its_distinct_chunks(repository: Repository) -> None:
    publish(repository, seed=1, chunks=4)
    with repository.pin(ImageRef("room1")) as pinned:
        manifest = pinned.manifest
        assert repository.stored_bytes(manifest) == 4 * CHUNK
        repository.forget([manifest.digest(2)])
        assert [chunk for chunk, place in repository.places(manifest) if place is None] == [2]
        assert repository.stored_bytes(manifest) == 3 * CHUNK


def test_a_broken_import_leaves_its_chunks_for_the_next_one(repository: Repository) -> None:
    def interrupted() -> None:
        with repository.writer() as writer:
            store(writer, seed=1, chunks=3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert repository.images() == []
    with repository.writer() as writer:
        store(writer, seed=1, chunks=4)
        assert writer.chunks_new == 1


def test_a_manifest_under_another_name_is_refused(repository: Repository) -> None:
    publish(repository)
    publish(repository, name="room2", seed=2)
    repository.find(ImageRef("room1")).path.write_bytes(repository.find(ImageRef("room2")).path.read_bytes())
    with pytest.raises(ManifestError, match="says it is"):
        repository.pin(ImageRef("room1"))


def test_writers_use_packs_of_their_own(repository: Repository) -> None:
    with repository.writer() as one, repository.writer() as other:
        store(one, seed=1, chunks=2)
        store(other, seed=1, chunks=3)  # neither sees what the other has not flushed: duplicates are harmless
    assert repository.paths.pack_numbers() == [1, 2]
    with repository.writer() as third:
        manifest = store(third, seed=1, chunks=3)
        assert third.chunks_new == 0
        assert parse_manifest(manifest).chunk_count == 3


def test_a_directory_that_is_no_repository_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="not a repository"):
        Repository.open(tmp_path)
    (tmp_path / "format").write_text("ogcast-repository 9\n")
    with pytest.raises(RepositoryError, match="format"):
        Repository.open(tmp_path)
    with pytest.raises(RepositoryError, match="not empty"):
        Repository.create(tmp_path)


def test_a_repository_that_vanished_is_an_error_for_people(repository: Repository) -> None:
    publish(repository)
    shutil.rmtree(repository.paths.root)
    for use in (
        repository.images,
        repository.stats,
        repository.gc,
        repository.verify,
        repository.writer,
        repository.rebuild_index,
        lambda: repository.pin(ImageRef("room1", 1)),
    ):
        with pytest.raises(RepositoryError):
            use()


def test_a_closed_repository_stays_closed(repository: Repository) -> None:
    repository.close()
    repository.close()
    with pytest.raises(ValueError, match="closed"):
        repository.locate(digest_of(b""))
