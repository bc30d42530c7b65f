"""What comes of asking: the events of an asking lane (transports.unicast.proto.asking)."""

from __future__ import annotations

from typing import Protocol

import msgspec

from images.stores import Encoding
from transports.unicast.proto.frames import Status

__all__ = ["Event", "Gone", "Held", "Memory", "News", "Received", "Refused", "Returned", "Turn"]


class Memory(Protocol):
    """A slot of the arena, as far as the machine cares."""

    view: memoryview

    def release(self) -> None: ...


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that came; the slot belongs to whoever polled this."""

    chunk: int
    encoding: Encoding
    length: int
    """Stored bytes, at the start of the slot."""
    slot: Memory


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The other side cannot give this chunk; its slot is spare again."""

    chunk: int
    status: Status
    text: str


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was cancelled, or whose chunk nobody wanted any more when it came; its slot is spare again."""

    chunk: int


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `ask_map`: the packed map of what the other side holds."""

    packed: bytes


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Chunks the other side holds since."""

    chunks: list[int]


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """Chunks the other side holds no more."""

    chunks: list[int]


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `ask_turn`: what is asked for now is sent now."""


Event = Received | Refused | Returned | Held | News | Gone | Turn
