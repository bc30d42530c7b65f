"""The memory a session may take, whatever the chunk size: what keeps ogcast below 300 MB resident."""

from __future__ import annotations

import os

import msgspec

__all__ = ["FRAME_BUDGET_BYTES", "FRAME_SLACK_BYTES", "RAW_BUDGET_BYTES", "Budget", "budget_for"]

FRAME_BUDGET_BYTES = 96 << 20
"""Stored frames on their way from the lane to the decoder (to the store, for the CACHE)."""
RAW_BUDGET_BYTES = 64 << 20
"""Decoded chunks on their way from the decoder to the disk."""
FRAME_SLACK_BYTES = 64 << 10
"""How much longer than its chunk a stored frame may be (docs/image-format.md 3.1)."""
SLOTS_MAX = 32
"""Small chunks need no more in flight than this to fill any lane."""
SLOTS_MIN = 2
WORKERS_MAX = 4
"""More decode faster than any disk of a computer room writes."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of a session's arenas and pool."""

    frame_slots: int
    frame_bytes: int
    """Bytes of one frame slot."""
    raw_slots: int
    raw_bytes: int
    """Bytes of one raw slot."""
    workers: int
    """Threads that decode and check."""


def budget_for(chunk_size: int, *, cores: int | None = None) -> Budget:
    """The budget of a session of an image with this chunk size."""
    frame_bytes = chunk_size + FRAME_SLACK_BYTES
    return Budget(
        frame_slots=max(SLOTS_MIN, min(SLOTS_MAX, FRAME_BUDGET_BYTES // frame_bytes)),
        frame_bytes=frame_bytes,
        raw_slots=max(SLOTS_MIN, min(SLOTS_MAX, RAW_BUDGET_BYTES // chunk_size)),
        raw_bytes=chunk_size,
        workers=max(1, min(WORKERS_MAX, cores or os.cpu_count() or 1)),
    )
