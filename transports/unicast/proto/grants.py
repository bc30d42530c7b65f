"""What the serving machine is given by its shell, and what it asks of it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from core.ids import ChunkIndex, Digest
from transports.unicast.proto.frames import Header
from transports.unicast.proto.holdings import Holdings

__all__ = ["ChunkTable", "Grant", "LookUp", "Store"]


class ChunkTable(Protocol):
    """What the machine needs of a manifest."""

    @property
    def chunk_count(self) -> int: ...
    @property
    def chunk_size(self) -> int: ...
    @property
    def root(self) -> bytes: ...
    def digest(self, chunk: ChunkIndex) -> Digest: ...
    def raw_length(self, chunk: ChunkIndex) -> int: ...


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a session allows on its lanes."""

    key: bytes
    image: ChunkTable | None = None
    """The version served; None for a capture. A lease on it is the session itself: it ends by LEASE_BREAK only."""
    holdings: Holdings | None = None
    """What of the image is held; None: all of it."""
    capture_bytes: int = 0
    """Largest raw chunk a capture accepts; 0: no capture."""


class LookUp(msgspec.Struct, frozen=True, kw_only=True):
    """Work for the shell: which of these are stored? Answer with `handle_looked_up`."""

    header: Header
    digests: list[Digest]


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """Work for the shell: verify `stored` against `digest`, then append. Answer with `handle_stored`."""

    header: Header
    digest: Digest
    raw_length: int
    stored: memoryview
