"""Kernel calls that `os` lacks: block device ioctls, fallocate modes, sync_file_range.

Numbers: linux/fs.h, linux/falloc.h. On a block device the fallocate modes map to the same operations, the ioctls
exist on every kernel and need no libc.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import functools
import os
from collections.abc import Callable

__all__ = [
    "block_is_read_only",
    "block_size_bytes",
    "discard_blocks",
    "punch_hole",
    "sector_bytes",
    "start_writeback",
    "wait_writeback",
    "zero_blocks",
    "zero_file_range",
]

_BLKROGET = 0x125E
_BLKSSZGET = 0x1268
_BLKGETSIZE64 = 0x80081272
_BLKDISCARD = 0x1277
_BLKZEROOUT = 0x127F

_FALLOC_KEEP_SIZE = 0x01
_FALLOC_PUNCH_HOLE = 0x02
_FALLOC_ZERO_RANGE = 0x10

_SYNC_WAIT_BEFORE = 1
_SYNC_WRITE = 2
_SYNC_WAIT_AFTER = 4

_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EINVAL})


def block_size_bytes(fd: int) -> int:
    """Bytes of the block device."""
    return _query(fd, _BLKGETSIZE64, "Q")


def sector_bytes(fd: int) -> int:
    """Logical sector of the block device, in bytes."""
    return _query(fd, _BLKSSZGET, "i")


def block_is_read_only(fd: int) -> bool:
    """Whether the device refuses writes."""
    return _query(fd, _BLKROGET, "i") != 0


def zero_blocks(fd: int, start: int, length: int) -> bool:
    """Make sectors read as zero; False if the device cannot be asked to. Both must be multiples of the sector."""
    return _supported(functools.partial(fcntl.ioctl, fd, _BLKZEROOUT, array.array("Q", [start, length])))


def discard_blocks(fd: int, start: int, length: int) -> bool:
    """Tell the device that sectors are free; False if it cannot be told."""
    return _supported(functools.partial(fcntl.ioctl, fd, _BLKDISCARD, array.array("Q", [start, length])))


def punch_hole(fd: int, start: int, length: int) -> bool:
    """Give a file's range back to its file system; it reads as zero. False if the file system cannot."""
    return _supported(functools.partial(_fallocate, fd, _FALLOC_PUNCH_HOLE | _FALLOC_KEEP_SIZE, start, length))


def zero_file_range(fd: int, start: int, length: int) -> bool:
    """Make a file's range read as zero, keeping it allocated; False if the file system cannot."""
    return _supported(functools.partial(_fallocate, fd, _FALLOC_ZERO_RANGE | _FALLOC_KEEP_SIZE, start, length))


def start_writeback(fd: int, start: int, length: int) -> bool:
    """Let the kernel start to write the dirty pages of a range; False where there is no such call."""
    return _supported(functools.partial(_sync_file_range, fd, start, length, _SYNC_WRITE))


def wait_writeback(fd: int, start: int, length: int) -> None:
    """Wait until the pages of a range are written. Not a barrier: the final fsync still is."""
    _supported(
        functools.partial(_sync_file_range, fd, start, length, _SYNC_WAIT_BEFORE | _SYNC_WRITE | _SYNC_WAIT_AFTER)
    )


def _query(fd: int, request: int, code: str) -> int:
    answer = array.array(code, [0])
    fcntl.ioctl(fd, request, answer)
    return int(answer[0])


def _supported(call: Callable[[], object]) -> bool:
    try:
        call()
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return libc


def _fallocate(fd: int, mode: int, start: int, length: int) -> None:
    _checked(_libc().fallocate(fd, mode, start, length))


def _sync_file_range(fd: int, start: int, length: int, flags: int) -> None:
    _checked(_libc().sync_file_range(fd, start, length, flags))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
