from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import LockedError, RepositoryError
from images.store.lock import exclusive_lock, shared_lock


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock"
    path.touch(0o444)
    return path


def test_writers_share_and_gc_does_not(lock: Path) -> None:
    with shared_lock(lock, wait_s=0), shared_lock(lock, wait_s=0):
        with pytest.raises(LockedError) as caught, exclusive_lock(lock, wait_s=0):
            pass
        assert caught.value.hint
    with exclusive_lock(lock, wait_s=0):
        for other in (shared_lock, exclusive_lock):
            with pytest.raises(LockedError), other(lock, wait_s=0.06):
                pass
    with shared_lock(lock, wait_s=0):
        pass


def test_a_repository_without_its_lock_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="lock"), shared_lock(tmp_path / "lock"):
        pass
