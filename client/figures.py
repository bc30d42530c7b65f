"""Figures of one command: what went where and how long it took. Lives on the event loop."""

from __future__ import annotations

from collections import Counter

import msgspec

__all__ = ["Figures"]


class Figures(msgspec.Struct, kw_only=True):
    """Running totals of one session."""

    bytes_by_source: Counter[str] = msgspec.field(default_factory=Counter)
    """Stored bytes of verified chunks, by who delivered them."""
    chunks_by_source: Counter[str] = msgspec.field(default_factory=Counter)
    bad_by_source: Counter[str] = msgspec.field(default_factory=Counter)
    """Chunks that were not what their digest says."""
    raw_bytes: int = 0
    """Content of chunks that are written (without those that were there already)."""
    raw_bytes_before: int = 0
    """Content of chunks that were there already."""
    bytes_written: int = 0
    """Bytes written to the target."""
    chunks_done: int = 0
    """Chunks verified and written, those that were there already included."""
    reconnects: int = 0
    duplicates: int = 0
    """Deliveries nobody wanted any more."""
    duplicate_bytes: int = 0
    """Their stored bytes."""

    @property
    def bytes_received(self) -> int:
        """Stored bytes of all sources."""
        return self.bytes_by_source.total()

    @property
    def bad_chunks(self) -> int:
        """Rejected deliveries of all sources."""
        return self.bad_by_source.total()
