"""Appending records to a pack of one's own."""

from __future__ import annotations

import os

from core.errors import RepositoryError
from images.store.disk import FILE_MODE, disk_errors, sync_directory
from images.store.pack import PACK_HEADER, PACK_HEADER_BYTES, RECORD_HEADER_BYTES, RecordHeader
from images.store.paths import RepositoryPaths
from images.store.writeback import start_writeback

__all__ = ["PACK_BYTES_MAX", "PackWriter"]

PACK_BYTES_MAX = 2**30
"""A pack is rolled before it grows beyond this: what `gc` rewrites at once, and so the space it needs, stays small."""
_WRITEBACK_BYTES = 8 * 1024 * 1024
"""Bytes after which the disk is set to work, so that `sync` does not stop an import for long."""
_CREATE_ATTEMPTS_MAX = 1000
"""Writers that may create packs at the same moment."""


class PackWriter:
    """A new pack that only this writer appends to. Used by one thread at a time; `close` or `discard` it."""

    def __init__(self, paths: RepositoryPaths) -> None:
        """Create the pack with the next free number; RepositoryFullError when there is no room even for that."""
        self._paths = paths
        with disk_errors("starting a pack"):
            self.number, self._fd = _create(paths)
            try:
                os.pwrite(self._fd, PACK_HEADER, 0)
                sync_directory(paths.packs)
            except BaseException:
                self.discard()
                raise
        self.size = PACK_HEADER_BYTES
        """Bytes of whole records and the pack header."""
        self._started = PACK_HEADER_BYTES  # up to here the kernel was asked to write
        self.kept_size = PACK_HEADER_BYTES
        """Bytes that are in the index too, as of the last `keep`."""

    def has_room(self, stored_length: int) -> bool:
        """Whether one more record keeps the pack within its bound."""
        return self.size + RECORD_HEADER_BYTES + stored_length <= PACK_BYTES_MAX

    def append(self, header: RecordHeader, stored: bytes | memoryview) -> int:
        """Write one record; returns the offset of its stored bytes. After an error the pack is as before."""
        at = self.size
        head = header.encode()
        total = RECORD_HEADER_BYTES + len(stored)
        with disk_errors("storing a chunk"):
            written = os.pwritev(self._fd, (head, stored), at)
            while written < total:  # a signal, or a disk about to be full: the next call says which
                if written < RECORD_HEADER_BYTES:
                    rest = memoryview(head)[written:]
                else:
                    rest = memoryview(stored)[written - RECORD_HEADER_BYTES :]
                written += os.pwrite(self._fd, rest, at + written)
        self.size = at + total
        if self.size - self._started >= _WRITEBACK_BYTES:
            start_writeback(self._fd, self._started, self.size - self._started)
            self._started = self.size
        return at + RECORD_HEADER_BYTES

    def sync(self) -> None:
        """Make everything appended durable. What `close` keeps is said by `keep`."""
        with disk_errors("syncing a pack"):
            os.fdatasync(self._fd)

    def keep(self) -> None:
        """Everything appended so far is synced and in the index: `close` leaves it."""
        self.kept_size = self.size

    def take_back(self) -> None:
        """Forget what was appended after the last `keep`: the next record overwrites it."""
        self.size = self.kept_size
        self._started = min(self._started, self.size)

    def close(self) -> None:
        """Cut off what nobody refers to and close; a pack of which nothing is kept is removed. Repeatable."""
        if self._fd < 0:
            return
        if self.kept_size <= PACK_HEADER_BYTES:
            self.discard()
            return
        with disk_errors("closing a pack"):
            try:
                os.ftruncate(self._fd, self.kept_size)
            finally:
                fd, self._fd = self._fd, -1
                os.close(fd)

    def discard(self) -> None:
        """Remove the pack: nothing in it is in any index."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
            self._paths.pack(self.number).unlink(missing_ok=True)


def _create(paths: RepositoryPaths) -> tuple[int, int]:
    number = max(paths.pack_numbers(), default=0)
    for _ in range(_CREATE_ATTEMPTS_MAX):
        number += 1
        try:
            return number, os.open(paths.pack(number), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        except FileExistsError:
            continue
    raise RepositoryError("no free pack number", hint="too many writers create packs at once")
