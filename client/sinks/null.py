"""Null sink: takes everything, keeps nothing. For measuring what a client can receive and verify."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["NULL_TARGET", "NullSink"]

NULL_TARGET = "null:"
"""The TARGET word that means this sink; no path of the machine can be written so by accident."""


class NullSink:
    """Counts and forgets."""

    reads_back = False
    sector_size = 512
    name = NULL_TARGET
    identity = NULL_TARGET

    def __init__(self, size: int) -> None:
        self.size = size
        self.bytes_written = 0

    def prepare(self) -> None:
        """Nothing to do."""

    def write(self, offset: int, buffers: Sequence[memoryview]) -> None:
        """Count."""
        length = sum(len(buffer) for buffer in buffers)
        if offset + length > self.size:
            raise ValueError(f"[{offset}, {offset + length}) does not lie in a target of {self.size} bytes")
        self.bytes_written += length

    def zero(self, start: int, stop: int) -> None:
        """Nothing to do."""

    def discard(self, start: int, stop: int) -> bool:
        """Nothing to tell."""
        return False

    def flush(self) -> None:
        """Nothing to do."""

    def drop_cache(self) -> None:
        """Nothing to do."""

    def read(self, offset: int, into: memoryview) -> None:
        """Zeros: nothing was kept."""
        into[:] = bytes(len(into))

    def close(self) -> None:
        """Nothing to do."""
