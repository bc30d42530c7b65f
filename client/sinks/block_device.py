"""Block device sink."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence

from client.sinks.base import sink_error
from client.sinks.descriptor import DescriptorSink
from client.sinks.kernel import discard_blocks, zero_blocks

__all__ = ["DIRECT_MIN_BYTES", "BlockDeviceSink"]

_STEP_BYTES = 1 << 30
"""One ioctl covers at most this much, so that a cancelled restore stops soon."""


DIRECT_MIN_BYTES = 1 << 20
"""Writes below this go through the page cache, which merges small ones; O_DIRECT waits for each."""
_DIRECT_ALIGN = 4096  # no logical sector in use is larger; arena slots are aligned to pages


class BlockDeviceSink(DescriptorSink):
    """A partition or disk, opened with O_EXCL by preflight.

    Long aligned writes go out by O_DIRECT on a second descriptor (docs/decisions/0004-client-writes.md); the kernel
    keeps both views of the device coherent. A device that refuses O_DIRECT is written through the page cache.
    """

    def __init__(self, fd: int, *, name: str, size: int, sector_size: int, identity: str) -> None:
        super().__init__(fd, name=name, size=size, sector_size=sector_size, identity=identity)
        self._direct_fd = -1
        with contextlib.suppress(OSError):
            # the same open device, whatever its path means by now; our O_EXCL stays with the first descriptor
            self._direct_fd = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)

    def write(self, offset: int, buffers: Sequence[memoryview]) -> None:
        """Write `buffers` from `offset` (see Sink). Views of an arena are aligned in memory; others may be refused."""
        length = sum(len(buffer) for buffer in buffers)
        fits = length >= DIRECT_MIN_BYTES and not (offset | length) % _DIRECT_ALIGN
        if self._direct_fd >= 0 and fits and not any(len(buffer) % _DIRECT_ALIGN for buffer in buffers):
            self._check(offset, offset + length)
            try:
                if os.pwritev(self._direct_fd, buffers, offset) == length:
                    return
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise sink_error(error, self.name, f"writing {length} bytes at {offset}") from error
        super().write(offset, buffers)  # what direct I/O did not take, or took in part, is written whole

    def close(self) -> None:
        """Close both descriptors."""
        if self._direct_fd >= 0:
            os.close(self._direct_fd)
            self._direct_fd = -1
        super().close()

    def zero(self, start: int, stop: int) -> None:
        """BLKZEROOUT for whole sectors, written zeros for the rest and for devices that refuse."""
        self._check(start, stop)
        low = -(-start // self.sector_size) * self.sector_size
        high = stop // self.sector_size * self.sector_size
        try:
            if low >= high:
                self._write_zeros(start, stop)
                return
            self._write_zeros(start, low)
            while low < high:
                step = min(high - low, _STEP_BYTES)
                if not zero_blocks(self._fd, low, step):
                    self._write_zeros(low, low + step)
                low += step
            self._write_zeros(high, stop)
        except OSError as error:
            raise sink_error(error, self.name, f"zeroing {stop - start} bytes at {start}") from error

    def discard(self, start: int, stop: int) -> bool:
        """BLKDISCARD of the whole sectors inside [start, stop)."""
        self._check(start, stop)
        low = -(-start // self.sector_size) * self.sector_size
        high = stop // self.sector_size * self.sector_size
        try:
            while low < high:
                step = min(high - low, _STEP_BYTES)
                if not discard_blocks(self._fd, low, step):
                    return False
                low += step
        except OSError as error:
            raise sink_error(error, self.name, f"discarding {stop - start} bytes at {start}") from error
        return True
