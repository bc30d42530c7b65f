"""Asking the kernel to start writing a range, so that the sync that follows finds little left to do."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

__all__ = ["start_writeback"]

_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h: start, do not wait


def _find() -> Callable[[int, int, int, int], int] | None:
    """sync_file_range(2), which Python does not offer; None where the C library has none."""
    try:
        call = ctypes.CDLL(None).sync_file_range
    except (OSError, AttributeError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    call.restype = ctypes.c_int
    found: Callable[[int, int, int, int], int] = call
    return found


_sync_file_range = _find()


def start_writeback(fd: int, offset: int, length: int) -> None:
    """A hint: nothing is promised, and an error is left to the sync that will meet it too."""
    if _sync_file_range is not None:
        _sync_file_range(fd, offset, length, _SYNC_FILE_RANGE_WRITE)
