"""Is what was written the image? Compared by reading source and target, without asking ogcast's own verification."""

from __future__ import annotations

import os
from pathlib import Path

from images.extents import Extents, Kind

__all__ = ["first_difference", "stain"]

PIECE_BYTES = 4 << 20
STAIN = b"\xa5" * PIECE_BYTES


def first_difference(source: Path, target: Path, extents: Extents) -> int | None:
    """Offset of the first piece where `target` is not the image: DATA as in `source`, ZERO zero. None if it is."""
    with source.open("rb", buffering=0) as ours, target.open("rb", buffering=0) as theirs:
        for extent in extents:
            for start in range(extent.start, extent.start + extent.length, PIECE_BYTES):
                length = min(PIECE_BYTES, extent.start + extent.length - start)
                if extent.kind is Kind.SKIP:
                    continue
                wanted = os.pread(ours.fileno(), length, start) if extent.kind is Kind.DATA else bytes(length)
                if os.pread(theirs.fileno(), length, start) != wanted:
                    return start
    return None


def stain(target: Path, size: int) -> None:
    """Fill `size` bytes of a file or device with a pattern, so that what was not written can be told from zeros.

    A file is read once as well. What lies in memory is moved to another list when a page of it is used for the second
    time (folio_mark_accessed in mm/swap.c), which takes a sixth of the time of writing over it, and no disk does it.
    """
    with target.open("r+b" if target.exists() else "w+b", buffering=0) as file:
        for start in range(0, size, PIECE_BYTES):
            os.pwrite(file.fileno(), STAIN[: min(PIECE_BYTES, size - start)], start)
        os.fsync(file.fileno())
        if target.is_file():
            for start in range(0, size, PIECE_BYTES):
                os.pread(file.fileno(), PIECE_BYTES, start)
