from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from core.errors import ManifestError, NotFoundError
from core.ids import ImageRef
from images.repository import Repository
from tests.support.repositories import publish


def test_a_pin_is_a_shared_lock_on_the_manifest_file(tmp_path: Path) -> None:
    with Repository.create(tmp_path / "repo") as repository:
        publish(repository)
        with repository.pin(ImageRef("room1")) as one, repository.pin(ImageRef("room1", 1)) as two:
            assert one.data == two.data == one.manifest.data
            fd = os.open(repository.find(ImageRef("room1")).path, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            one.close()
            one.close()
            two.close()
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(fd)


def test_an_image_that_goes_before_it_is_locked_is_not_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Repository.create(tmp_path / "repo") as repository:
        publish(repository)
        flock = fcntl.flock

        def too_late(fd: int, how: int) -> None:
            monkeypatch.setattr(fcntl, "flock", flock)
            repository.remove(ImageRef("room1"))
            repository.gc()
            flock(fd, how)

        monkeypatch.setattr(fcntl, "flock", too_late)
        with pytest.raises(NotFoundError):
            repository.pin(ImageRef("room1"))


def test_a_damaged_manifest_is_not_pinned(tmp_path: Path) -> None:
    with Repository.create(tmp_path / "repo") as repository:
        publish(repository)
        repository.find(ImageRef("room1")).path.write_bytes(b"rubbish")
        with pytest.raises(ManifestError):
            repository.pin(ImageRef("room1"))
