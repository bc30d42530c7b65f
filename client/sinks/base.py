"""What a sink promises: the place a restore writes to, opened and checked by `client.preflight`.

All calls block and come from one thread at a time (the writer thread, or the reader of a check while nothing is
written). Every sink passes `tests/contract/sinks.py`.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Protocol

from core.errors import OgcastError, PartitionError, ReadOnlyError, TargetTooSmallError

__all__ = ["Sink", "sink_error"]


class Sink(Protocol):
    """A target of known size. Offsets and lengths are bytes."""

    @property
    def name(self) -> str:
        """What the operator calls it: the path."""

    @property
    def size(self) -> int:
        """Bytes that can be addressed; at least the image's size."""

    @property
    def sector_size(self) -> int:
        """Smallest unit `zero` and `discard` hand to the device."""

    @property
    def reads_back(self) -> bool:
        """Whether `read` returns what was written, so that a restore can resume and be read back."""

    @property
    def identity(self) -> str:
        """Names this very target (path, device, inode, size); a journal of another one is not used."""

    def prepare(self) -> None:
        """Called once before the first write: from here on the target is being changed."""

    def write(self, offset: int, buffers: Sequence[memoryview]) -> None:
        """Write `buffers` one after the other from `offset`; nothing outside is changed.

        Raises PartitionError when the device vanished or failed, TargetTooSmallError when the disk below is full.
        """

    def zero(self, start: int, stop: int) -> None:
        """Make every byte of [start, stop) read as zero, whatever was there."""

    def discard(self, start: int, stop: int) -> bool:
        """Give [start, stop) back to the device; content is undefined after. False if it cannot be told."""

    def flush(self) -> None:
        """Return when everything written is on stable storage."""

    def drop_cache(self) -> None:
        """After `flush`: let the next `read` come from the device and not from memory."""

    def read(self, offset: int, into: memoryview) -> None:
        """Fill `into` from `offset`."""

    def close(self) -> None:
        """Let go of the target; harmless when repeated."""


_GONE = frozenset({errno.EIO, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM, errno.EREMOTEIO, errno.ESTALE})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY = frozenset({errno.EROFS, errno.EPERM, errno.EACCES})


def sink_error(error: OSError, name: str, doing: str) -> OgcastError:
    """The error of ours for a system call that failed while `doing` something to the target `name`."""
    what = f"{name}: {doing} failed: {error.strerror or error}"
    if error.errno in _GONE:
        return PartitionError(
            what, hint="the device failed or went away; look at the kernel log (dmesg) and run the command again"
        )
    if error.errno in _FULL:
        return TargetTooSmallError(what, hint="the file system below the target is full; make room and run it again")
    if error.errno in _READ_ONLY:
        return ReadOnlyError(what, hint="the target became read-only; look at the kernel log (dmesg)")
    return PartitionError(what)
