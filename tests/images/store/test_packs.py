from __future__ import annotations

import os
from pathlib import Path

import pytest

from images.store.packs import OPEN_PACKS_MAX, REPLACED_PACKS_MAX, PackFiles
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


def _replace(paths: RepositoryPaths, number: int, data: bytes) -> None:
    new = paths.packs / "new"
    new.write_bytes(data)
    new.replace(paths.pack(number))


def test_a_file_put_in_the_place_of_a_pack_is_read_from_then_on(paths: RepositoryPaths) -> None:
    files = PackFiles(paths)
    before = files.fd(1)
    _replace(paths, 1, b"restored")
    after = files.fd(1)
    assert os.pread(after, 10, 0) == b"restored"
    assert files.fd(1) == after
    assert os.pread(before, 10, 0) == b"1"  # somebody may be reading through it
    files.close()
    for fd in (before, after):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_files_replaced_again_and_again_take_bounded_descriptors(paths: RepositoryPaths) -> None:
    files = PackFiles(paths)
    first = files.fd(1)
    for times in range(REPLACED_PACKS_MAX):
        _replace(paths, 1, b"%d" % times)
        files.fd(1)
    os.fstat(first)
    _replace(paths, 1, b"last")
    assert os.pread(files.fd(1), 10, 0) == b"last"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first)
    files.close()
