"""Reading a block device past the page cache.

Through the page cache a device is read in windows of read-ahead, each waited for, and every byte is copied once more;
nobody reads it a second time. Measured in docs/decisions/0010-import-reads.md.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from images.extents import Extent

__all__ = ["READ_THROUGH_BYTES", "DirectReader", "joined"]

READ_THROUGH_BYTES = 128 * 1024
"""Free space up to this length is read along: it takes less time than another request does."""


class DirectReader:
    """Whole sectors of a device by O_DIRECT, on a second descriptor of the same open device. Thread-safe.

    A device without O_DIRECT, and one that refuses a read, is the caller's to read through the page cache.
    """

    def __init__(self, fd: int, sector_size: int) -> None:
        self._sector_size = sector_size
        self._fd = -1
        with contextlib.suppress(OSError):
            # the same device, whatever its path means by now
            self._fd = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)

    def read(self, offset: int, view: memoryview) -> bool:
        """Fill `view` from `offset` and return True; False if that cannot be done, and `view` may hold rubbish.

        Its memory must be aligned as `offset` is.
        """
        if self._fd < 0 or (offset | len(view)) % self._sector_size:
            return False
        done = 0
        while done < len(view):
            try:
                got = os.preadv(self._fd, [view[done:]], offset + done)
            except OSError:
                return False  # a bad sector, maybe one of free space: piece by piece will tell
            if not got or got % self._sector_size:
                return False
            done += got
        return True

    def close(self) -> None:
        """Close the second descriptor; harmless when repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def joined(pieces: Sequence[Extent], gap_max: int) -> Iterator[Sequence[Extent]]:
    """Runs of `pieces` with no more than `gap_max` bytes between one and the next."""
    first = 0
    for at in range(1, len(pieces) + 1):
        if at == len(pieces) or pieces[at].start - pieces[at - 1].stop > gap_max:
            yield pieces[first:at]
            first = at
