"""Rooms: how many clients take an image, where they are, and what brings their chunks. Pure.

Kept up as sessions come, report and go, so that answering one client costs the same however many there are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from core.ids import SessionId
from transports.control import RoomInfo

__all__ = ["Rooms"]


@dataclass(slots=True, kw_only=True)
class _Client:
    image: str
    subnet: str
    transport: str = ""


class Rooms:
    """One room for each image version that somebody takes."""

    def __init__(self) -> None:
        self._clients: dict[SessionId, _Client] = {}
        self._all: Counter[str] = Counter()
        self._near: Counter[tuple[str, str]] = Counter()
        self._by: dict[str, Counter[str]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def handle_open(self, session: SessionId, *, image: str, subnet: str) -> None:
        """A client begins to take `image`. Who only gives it is not told of here."""
        self._clients[session] = _Client(image=image, subnet=subnet)
        self._all[image] += 1
        self._near[image, subnet] += 1

    def handle_report(self, session: SessionId, *, transport: str) -> None:
        """What brings its chunks now; empty: nothing. Unknown sessions are ignored."""
        client = self._clients.get(session)
        if client is None or client.transport == transport:
            return
        self._note_left(client)
        client.transport = transport
        if transport:
            self._by.setdefault(client.image, Counter())[transport] += 1

    def handle_close(self, session: SessionId) -> None:
        """It is gone. Unknown sessions are ignored."""
        client = self._clients.pop(session, None)
        if client is None:
            return
        self._note_left(client)
        near = (client.image, client.subnet)
        self._all[client.image] -= 1
        self._near[near] -= 1
        if not self._near[near]:
            del self._near[near]
        if not self._all[client.image]:
            del self._all[client.image]

    def room(self, session: SessionId) -> RoomInfo:
        """The room as this client is to know it; a room of one for an unknown session."""
        client = self._clients.get(session)
        if client is None:
            return RoomInfo()
        others = Counter(self._by.get(client.image, Counter()))
        if client.transport:
            others[client.transport] -= 1
        return RoomInfo(
            sessions=self._all[client.image],
            near=self._near[client.image, client.subnet],
            others={name: count for name, count in sorted(others.items()) if count > 0},
        )

    def _note_left(self, client: _Client) -> None:
        by = self._by.get(client.image)
        if by is None or not client.transport:
            return
        by[client.transport] -= 1
        if not by[client.transport]:
            del by[client.transport]
        if not by:
            del self._by[client.image]
