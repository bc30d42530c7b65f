"""Small durable steps on the repository's file system, and what their failures mean to a person."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from core.errors import RepositoryError, RepositoryFullError

__all__ = [
    "AS_OWNER",
    "FILE_MODE",
    "TEMPORARY_PREFIX",
    "disk_errors",
    "full_error",
    "sync_directory",
    "write_temporary",
]

TEMPORARY_PREFIX = ".tmp-"
"""Files that a crash may leave behind and `gc` removes."""
FILE_MODE = 0o640
"""Of every file of a repository: a partition holds password files and keys, and the index says what is in it."""
AS_OWNER = "run as root or as the owner of the repository"
"""What to do where a file of a repository may not be read."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def full_error(doing: str) -> RepositoryFullError:
    """The error for a file system without room."""
    return RepositoryFullError(
        f"no space left while {doing}",
        hint="free space on that file system, or remove images and run gc; what was stored before is untouched",
    )


@contextlib.contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Turn an OSError of the block into RepositoryError or RepositoryFullError that says what was being done."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise full_error(doing) from error
        hint = AS_OWNER if isinstance(error, PermissionError) else None
        raise RepositoryError(f"{error.strerror or error} while {doing}", hint=hint) from error


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_temporary(folder: Path, data: bytes) -> Path:
    """Write `data` durably to a new file with a passing name in `folder`; nothing stays behind on failure."""
    path = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(fd)
    return path
