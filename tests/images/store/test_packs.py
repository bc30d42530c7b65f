from __future__ import annotations

import os
from pathlib import Path

import pytest

from images.store.packs import OPEN_PACKS_MAX, PackFiles
from images.store.paths import RepositoryPaths


@pytest.fixture
def paths(tmp_path: Path) -> RepositoryPaths:
    made = RepositoryPaths(tmp_path / "repo")
    made.create()
    for number in range(1, OPEN_PACKS_MAX + 3):
        made.pack(number).write_bytes(b"%d" % number)
    return made


def test_a_pack_is_opened_once_and_the_longest_unused_is_closed_beyond_the_bound(paths: RepositoryPaths) -> None:
    files = PackFiles(paths)
    first, second = files.fd(1), files.fd(2)
    assert files.fd(1) == first
    for number in range(3, OPEN_PACKS_MAX + 2):
        files.fd(number)
    assert files.opened == OPEN_PACKS_MAX + 1
    assert os.pread(files.fd(1), 10, 0) == b"1"
    assert files.opened == OPEN_PACKS_MAX + 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pread(second, 10, 0)
    files.close()
    files.close()
    with pytest.raises(ValueError, match="closed"):
        files.fd(1)


def test_a_removed_pack_is_read_through_an_open_descriptor(paths: RepositoryPaths) -> None:
    files = PackFiles(paths)
    files.fd(1)
    paths.pack(1).unlink()
    assert os.pread(files.fd(1), 10, 0) == b"1"
    paths.pack(2).unlink()
    with pytest.raises(FileNotFoundError):
        files.fd(2)
    files.close()
