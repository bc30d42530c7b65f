from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import RepositoryError
from core.ids import ImageRef
from images.store.disk import AS_OWNER
from images.store.paths import RepositoryPaths


def test_names_are_those_of_the_format(tmp_path: Path) -> None:
    paths = RepositoryPaths(tmp_path)
    assert paths.pack(7) == tmp_path / "packs" / "00000007.ogp"
    assert paths.manifest(ImageRef("room1", 3)) == tmp_path / "manifests" / "room1" / "3.ogm"


def test_only_packs_have_numbers(tmp_path: Path) -> None:
    paths = RepositoryPaths(tmp_path / "repo")
    paths.create()
    paths.check()
    for name in ("00000012.ogp", "00000003.ogp", "3.ogp", "x.ogp", "00000004.tmp", "123456789.ogp"):
        (paths.packs / name).touch()
    assert paths.pack_numbers() == [3, 12, 123456789]


def test_content_is_not_for_every_user_of_the_machine(tmp_path: Path) -> None:
    paths = RepositoryPaths(tmp_path / "repo")
    paths.create()
    for folder in (paths.packs, paths.manifests, paths.trash):
        assert folder.stat().st_mode & 0o007 == 0
    for file in (paths.format, paths.lock, paths.reserve):
        assert file.stat().st_mode & 0o007 == 0


def test_a_half_made_repository_is_none(tmp_path: Path) -> None:
    paths = RepositoryPaths(tmp_path)
    paths.manifests.mkdir()
    with pytest.raises(RepositoryError, match="not a repository"):
        paths.check()
    with pytest.raises(RepositoryError, match="not empty"):
        paths.create()


def test_what_may_not_be_read_is_not_called_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = RepositoryPaths(tmp_path / "repo")
    paths.create()

    def refuse(*_: object) -> None:  # tests run as root, who may read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(RepositoryError, match="cannot read") as told:
        paths.check()
    assert told.value.hint == AS_OWNER
