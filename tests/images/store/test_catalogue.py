from __future__ import annotations

import errno
import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import ManifestError, NotFoundError, RepositoryError, UsageError
from core.ids import ImageRef
from images.extents import Extents
from images.manifest import FileSystem, encode_manifest
from images.store.catalogue import Catalogue, read_manifest
from images.store.gc import collect_garbage
from images.store.index import ChunkIndex
from images.store.paths import RepositoryPaths


@pytest.fixture
def paths(tmp_path: Path) -> RepositoryPaths:
    made = RepositoryPaths(tmp_path / "repo")
    made.create()
    return made


def empty_image(name: str = "room1") -> bytes:
    return encode_manifest(
        name=name,
        version=1,
        created="2026-02-03T04:05:06Z",
        tool="test",
        source="raw",
        size=0,
        chunk_size=65536,
        block_size=512,
        sector_size=512,
        fs=FileSystem(),
        extents=Extents.all_data(0),
        digests=[],
    )


def test_versions_are_listed_in_the_order_of_their_numbers(paths: RepositoryPaths) -> None:
    catalogue = Catalogue(paths)
    for _ in range(11):
        catalogue.publish(empty_image(), sign=None)
    catalogue.publish(empty_image("aula"), sign=None)
    assert [str(entry.ref) for entry in catalogue.images()] == ["aula@1", *(f"room1@{n}" for n in range(1, 12))]
    assert catalogue.find(ImageRef("room1")).version == 11


def test_what_is_no_manifest_file_is_not_listed(paths: RepositoryPaths) -> None:
    catalogue = Catalogue(paths)
    catalogue.publish(empty_image(), sign=None)
    for name in ("01.ogm", "2.ogm~", ".tmp-2", "99999999999.ogm", "x.ogm"):
        (paths.manifests / "room1" / name).touch()
    (paths.manifests / ".hidden").mkdir()
    (paths.manifests / "file").touch()
    assert [str(entry.ref) for entry in catalogue.images()] == ["room1@1"]


def test_publishers_at_the_same_moment_get_numbers_of_their_own(paths: RepositoryPaths) -> None:
    catalogue = Catalogue(paths)
    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(lambda _: catalogue.publish(empty_image(), sign=None).version, range(24)))
    assert sorted(published) == list(range(1, 25))
    assert [entry.version for entry in catalogue.images()] == list(range(1, 25))
    assert not list(paths.manifests.glob("*/.tmp-*"))


def test_a_publisher_waits_for_another_one_of_that_name(paths: RepositoryPaths) -> None:
    catalogue = Catalogue(paths)
    catalogue.publish(empty_image(), sign=None)
    folder = os.open(paths.manifests / "room1", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(catalogue.publish, empty_image(), sign=None)
        catalogue.publish(empty_image("aula"), sign=None)
        assert not waiting.done()
        os.close(folder)
        assert waiting.result().version == 2


def test_a_version_number_is_never_given_twice(paths: RepositoryPaths) -> None:
    catalogue = Catalogue(paths)
    catalogue.publish(empty_image(), sign=None)
    for _ in range(2):
        catalogue.publish(empty_image(), sign=None)
        catalogue.remove(ImageRef("room1"))
    catalogue.remove(ImageRef("room1"))
    ChunkIndex.open(paths.index, create=True).close()
    collect_garbage(paths, catalogue)
    assert catalogue.images() == []
    assert catalogue.trash() == []
    assert catalogue.publish(empty_image(), sign=None).version == 4


def test_a_crash_before_the_version_is_visible_leaves_its_number_out(
    paths: RepositoryPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = Catalogue(paths)
    catalogue.publish(empty_image(), sign=None)

    def broken(source: Path, target: Path) -> None:
        raise OSError(errno.EIO, "input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", broken)
        with pytest.raises(RepositoryError):
            catalogue.publish(empty_image(), sign=None)
    assert [entry.version for entry in catalogue.images()] == [1]
    assert catalogue.publish(empty_image(), sign=None).version == 3


def test_a_damaged_note_of_the_last_version_gives_no_number(paths: RepositoryPaths) -> None:
    catalogue = Catalogue(paths)
    catalogue.publish(empty_image(), sign=None)
    paths.last_version("room1").write_text("one\n")
    with pytest.raises(RepositoryError, match="highest version number"):
        catalogue.publish(empty_image(), sign=None)


def test_a_removed_version_is_in_the_trash(paths: RepositoryPaths) -> None:
    catalogue = Catalogue(paths)
    catalogue.publish(empty_image(), sign=None)
    removed = catalogue.remove(ImageRef("room1"))
    assert removed.ref == ImageRef("room1", 1)
    assert [path.name.rpartition(".")[0].partition(".")[0] for path in catalogue.trash()] == ["room1@1"]
    with pytest.raises(NotFoundError):
        catalogue.remove(ImageRef("room1"))


@pytest.mark.parametrize("name", ["..", "a/b", "a\0b", "x" * 300, "ñandú", ""])
def test_illegal_names_never_reach_the_file_system(paths: RepositoryPaths, name: str) -> None:
    with pytest.raises(UsageError):
        Catalogue(paths).find(ImageRef(name))


def test_a_manifest_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(2**40)
    fd = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(ManifestError, match="at most"):
            read_manifest(fd)
    finally:
        os.close(fd)
