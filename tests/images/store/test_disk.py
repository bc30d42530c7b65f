from __future__ import annotations

import errno
from pathlib import Path

import pytest

from core.errors import RepositoryError, RepositoryFullError
from images.store.disk import disk_errors, sync_directory, write_temporary


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_without_room_is_told_apart(number: int) -> None:
    with pytest.raises(RepositoryFullError, match="while testing"), disk_errors("testing"):
        raise OSError(number, "?")


def test_other_trouble_says_what_was_being_done() -> None:
    with pytest.raises(RepositoryError, match="I/O trouble while testing") as caught, disk_errors("testing"):
        raise OSError(errno.EIO, "I/O trouble")
    assert not isinstance(caught.value, RepositoryFullError)


def test_a_temporary_file_has_what_was_written(tmp_path: Path) -> None:
    path = write_temporary(tmp_path, b"content")
    sync_directory(tmp_path)
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o007 == 0
    assert list(tmp_path.iterdir()) == [path]
