"""What a client says of a target that holds stored frames as they came: those can be given without another copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from core.ids import ChunkIndex
from images.stores import Encoding, StoredChunk

__all__ = ["WrittenFrames"]


class WrittenFrames(Protocol):
    """Use on the session's loop. Places are good until the session has ended, and what lies there does not change."""

    on_written: Callable[[list[ChunkIndex]], None]
    """Set by who wants to be told which chunks are on the target since."""

    def place(self, chunk: ChunkIndex, encoding: Encoding, length: int) -> StoredChunk | None:
        """Where a verified frame of `length` bytes lies as soon as `on_written` was told of its chunk; None if it does
        not lie there as it came."""
