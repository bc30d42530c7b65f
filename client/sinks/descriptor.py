"""What block device and file sinks share: positioned reads and writes on one descriptor, written back as they go."""

from __future__ import annotations

import os
from collections.abc import Sequence

from client.sinks.base import sink_error
from client.sinks.writeback import Writeback

__all__ = ["DescriptorSink"]

_ZEROS = bytes(1 << 20)


class DescriptorSink:
    """Base of sinks over a descriptor. Owns `fd`, which holds the lock on the target, until `close`."""

    reads_back = True

    def __init__(self, fd: int, *, name: str, size: int, sector_size: int, identity: str) -> None:
        self._fd = fd
        self._writeback = Writeback(fd)
        self.name = name
        self.size = size
        self.sector_size = sector_size
        self.identity = identity

    def prepare(self) -> None:
        """Nothing to do before the first write."""

    def write(self, offset: int, buffers: Sequence[memoryview]) -> None:
        """Write `buffers` from `offset` (see Sink)."""
        length = sum(len(buffer) for buffer in buffers)
        self._check(offset, offset + length)
        try:
            written = os.pwritev(self._fd, buffers, offset)
            if written < length:  # a signal, or a disk about to be full: go on by hand until it says why
                self._write_rest(offset, buffers, written)
            self._writeback.handle_written(offset, offset + length)
        except OSError as error:
            raise sink_error(error, self.name, f"writing {length} bytes at {offset}") from error

    def flush(self) -> None:
        """fsync."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise sink_error(error, self.name, "fsync") from error

    def drop_cache(self) -> None:
        """Drop clean pages, so that reads come from the device."""
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def read(self, offset: int, into: memoryview) -> None:
        """Fill `into` from `offset`; what lies beyond the end of a file reads as zero."""
        done = 0
        try:
            while done < len(into):
                got = os.preadv(self._fd, [into[done:]], offset + done)
                if got == 0:
                    into[done:] = bytes(len(into) - done)
                    return
                done += got
        except OSError as error:
            raise sink_error(error, self.name, f"reading {len(into)} bytes at {offset}") from error

    def close(self) -> None:
        """Close the descriptor and with it the lock."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write_zeros(self, start: int, stop: int) -> None:
        while start < stop:
            start += os.pwrite(self._fd, memoryview(_ZEROS)[: stop - start], start)

    def _write_rest(self, offset: int, buffers: Sequence[memoryview], written: int) -> None:
        for buffer in buffers:
            while written < len(buffer):
                put = os.pwrite(self._fd, buffer[written:], offset + written)
                written += put
            offset += len(buffer)
            written -= len(buffer)

    def _check(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.size:
            raise ValueError(f"[{start}, {stop}) does not lie in a target of {self.size} bytes")
