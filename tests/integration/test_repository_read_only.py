"""A repository on media that cannot be written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from core.errors import RepositoryError
from core.ids import ImageRef
from images.repository import Repository
from tests.support.repositories import CHUNK, KEY, publish


@pytest.mark.root
def test_a_repository_on_a_read_only_mount_is_read_and_verified(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    with Repository.create(root) as repository:
        publish(repository)
    subprocess.run(["mount", "--bind", str(root), str(root)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(root)], check=True)
        with Repository.open(root, read_only=True) as repository, repository.pin(ImageRef("room1")) as pinned:
            assert repository.locate(pinned.manifest.digest(0)).raw_length == CHUNK
            assert repository.verify(public_key=KEY.public).ok
            for change in (repository.gc, repository.writer, repository.rebuild_index):
                with pytest.raises(RepositoryError, match="reading only"):
                    change()
    finally:
        subprocess.run(["umount", str(root)], check=True)
