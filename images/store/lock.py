"""The repository lock: many writers, or one gc."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from core.errors import LockedError
from images.store.disk import disk_errors

__all__ = ["LOCK_WAIT_S", "exclusive_lock", "shared_lock"]

LOCK_WAIT_S = 10.0
"""How long gc waits for writers, and a writer for gc, before it gives up: a person is waiting."""
_RETRY_S = 0.05


@contextlib.contextmanager
def shared_lock(path: Path, *, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold the lock with other writers; LockedError if gc holds it for longer than `wait_s`."""
    with _locked(path, fcntl.LOCK_SH, wait_s, "the repository is being cleaned (gc)", "try again when gc has ended"):
        yield


@contextlib.contextmanager
def exclusive_lock(path: Path, *, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold the lock alone; LockedError if writers hold it for longer than `wait_s`."""
    with _locked(
        path,
        fcntl.LOCK_EX,
        wait_s,
        "the repository is in use by an import, a capture or a verify",
        "try again when it has ended",
    ):
        yield


@contextlib.contextmanager
def _locked(path: Path, how: int, wait_s: float, message: str, hint: str) -> Iterator[None]:
    # Read-only is enough for flock, and all there is on media that cannot be written.
    with disk_errors("opening the repository lock"):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        deadline_s = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(fd, how | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline_s:
                    raise LockedError(message, hint=hint) from None
                time.sleep(_RETRY_S)
        yield
    finally:
        os.close(fd)
