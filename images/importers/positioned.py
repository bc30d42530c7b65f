"""Reading pieces of a descriptor by many threads at once: what raw files and devices share."""

from __future__ import annotations

import os

from core.errors import ImageFileError, OgcastError, PartitionError
from images.importers.input import os_error

__all__ = ["read_exactly"]


def read_exactly(fd: int, offset: int, view: memoryview, *, name: str, is_device: bool) -> int:
    """Fill `view` from `offset`; returns its length. Thread-safe.

    Raises PartitionError (device) or ImageFileError (file) when bytes cannot be read or are no longer there.
    """
    done = 0
    while done < len(view):
        try:
            got = os.preadv(fd, [view[done:]], offset + done)
        except OSError as error:
            raise _failed(name, offset + done, error, is_device=is_device) from None
        if not got:
            what = "went away" if is_device else "became shorter"
            raise _kind(is_device)(f"{name} {what} while it was read, at byte {offset + done}")
        done += got
    return done


def _kind(is_device: bool) -> type[OgcastError]:
    return PartitionError if is_device else ImageFileError


def _failed(name: str, offset: int, error: OSError, *, is_device: bool) -> OgcastError:
    if not is_device:
        return os_error(name, error)
    return PartitionError(
        f"{name} cannot be read at byte {offset}: {error.strerror}", hint="look at the kernel log for disk errors"
    )
