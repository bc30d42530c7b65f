"""Plain file sink: the image as a sparse file."""

from __future__ import annotations

import os

from client.sinks.base import sink_error
from client.sinks.descriptor import DescriptorSink
from client.sinks.kernel import punch_hole, zero_file_range
from core.errors import PartitionError

__all__ = ["FileSink"]


class FileSink(DescriptorSink):
    """A file that preflight opened, locked and, if it was shorter, will have grown to `size` at the first write."""

    def __init__(self, fd: int, *, name: str, size: int, sector_size: int, identity: str) -> None:
        super().__init__(fd, name=name, size=size, sector_size=sector_size, identity=identity)
        self._length = os.fstat(fd).st_size

    def prepare(self) -> None:
        """Grow the file to its size, as a hole."""
        if self._length < self.size:
            try:
                os.ftruncate(self._fd, self.size)
            except OSError as error:
                raise sink_error(error, self.name, f"growing the file to {self.size} bytes") from error
            self._length = self.size

    def open_reader(self) -> int:
        """A descriptor of its own of the same file, to read from; the caller closes it."""
        return os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)

    def flush(self) -> None:
        """fsync; PartitionError if the file has no name any more: nobody would find what was written."""
        super().flush()
        if os.fstat(self._fd).st_nlink == 0:
            raise PartitionError(
                f"{self.name}: the file was removed or replaced while the image was written to it",
                hint="see what else uses this path, and run the command again",
            )

    def zero(self, start: int, stop: int) -> None:
        """A hole where the file system has holes, else written zeros."""
        self._check(start, stop)
        length = stop - start
        if length == 0:
            return
        try:
            if not punch_hole(self._fd, start, length) and not zero_file_range(self._fd, start, length):
                self._write_zeros(start, stop)
        except OSError as error:
            raise sink_error(error, self.name, f"zeroing {length} bytes at {start}") from error

    def discard(self, start: int, stop: int) -> bool:
        """A hole, where the file system has holes."""
        self._check(start, stop)
        try:
            return start == stop or punch_hole(self._fd, start, stop - start)
        except OSError as error:
            raise sink_error(error, self.name, f"discarding {stop - start} bytes at {start}") from error
