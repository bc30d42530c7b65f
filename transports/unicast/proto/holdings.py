"""What a side holds that serves without having everything, and what it tells one lane of it: MAP, NEWS and GONE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from core.errors import ProtocolError
from transports.unicast.proto.frames import Header, Op, Status, error_reply
from transports.unicast.proto.limits import MAX_NEWS_CHUNKS
from transports.unicast.proto.messages import pack_chunks, reply_to

__all__ = ["Holdings", "MapTeller"]


class Holdings(Protocol):
    """The chunks of one image that are held now. Changes are told to each lane (ServerLane.tell_news, tell_gone)."""

    def holds(self, chunk: int) -> bool: ...
    def packed(self) -> bytes:
        """All of them, as transports.member.proto.maps packs flags."""


class MapTeller:
    """One lane's view. The map is told once a lane, so that asking for it again and again cannot cost memory."""

    def __init__(self) -> None:
        self._handle: int | None = None

    def tell_map(self, header: Header, holdings: Holdings | None) -> bytes:
        """The answer to MAP. ProtocolError when it was answered before."""
        if holdings is None:
            return error_reply(header, Status.NOT_FOUND, "this side has everything and tells no map")
        if self._handle is not None:
            raise ProtocolError("MAP asked for twice")
        self._handle = header.subject
        return reply_to(header, holdings.packed())

    def tell_change(self, op: Op, chunks: Sequence[int]) -> list[bytes]:
        """NEWS or GONE frames about `chunks`; none before the map was told, which says it all."""
        if self._handle is None:
            return []
        frames: list[bytes] = []
        for at in range(0, len(chunks), MAX_NEWS_CHUNKS):
            payload = pack_chunks(chunks[at : at + MAX_NEWS_CHUNKS])
            frames.append(Header(op=op, subject=self._handle, length=len(payload)).encode() + payload)
        return frames
