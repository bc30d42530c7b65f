"""Write-behind: dirty pages go to the disk while more arrive, so that the one fsync at the end is short."""

from __future__ import annotations

from client.sinks.kernel import start_writeback, wait_writeback

__all__ = ["WINDOW_BYTES", "Writeback"]

WINDOW_BYTES = 64 * 1024 * 1024


class Writeback:
    """Starts writeback of each WINDOW_BYTES written and waits for the window before the last.

    At most about two windows are dirty at any time, whatever the memory of the machine: without it, a client with
    16 GB collects gigabytes of dirty pages and then sits minutes in fsync. Where sync_file_range does not work,
    nothing happens here and the final fsync does it all.
    """

    __slots__ = ("_before", "_fd", "_high", "_low", "_usable", "_written")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._usable = True
        self._before: tuple[int, int] | None = None
        self._written = 0
        self._low = 0
        self._high = 0

    def handle_written(self, start: int, stop: int) -> None:
        """[start, stop) was written. May block until older pages are on the disk; raises OSError of the disk."""
        if not self._usable:
            return
        if self._written == 0:
            self._low, self._high = start, stop
        else:
            self._low, self._high = min(self._low, start), max(self._high, stop)
        self._written += stop - start
        if self._written < WINDOW_BYTES:
            return
        self._written = 0
        window = (self._low, self._high - self._low)
        self._usable = start_writeback(self._fd, *window)
        if self._usable and self._before is not None:
            wait_writeback(self._fd, *self._before)
        self._before = window
