"""Turns of a peer in a crowd: whom it asked for a turn, whose turn has come, and what is asked for then.

A request for a chunk that waits in a queue keeps that chunk from being asked of others. Who asks for a turn names no
chunk: it says which one it wants when the other side is about to send, and bytes follow at once. So nothing is bound
before it moves; a turn that nobody needs when it comes is passed, and costs two small messages.
"""

from __future__ import annotations

from collections.abc import Iterable

from transports.p2p.proto.asking import Asking
from transports.p2p.proto.crowd import LAST_CHUNKS, RECEIVING, RECEIVING_LAST, TURNS
from transports.p2p.proto.holders import Holders
from transports.p2p.proto.picker import Phase, Picker
from transports.p2p.proto.requests import Request, Requests

__all__ = ["BEGIN_S", "BELIEVED_LEAST_S", "BELIEVED_MOST_S", "BELIEVED_TIMES", "Turns"]

BELIEVED_TIMES = 0.75
"""A turn that did not come for so many times what a chunk takes makes room for another: who was asked is busy with
others, and somebody else, who was not asked, may send nothing meanwhile. It may come still."""
BELIEVED_LEAST_S = 0.1
"""… for so long at least, and before any chunk came …"""
BELIEVED_MOST_S = 2.0
"""… and at most: a machine that was switched off gives none."""
BEGIN_S = 0.5
"""What was asked for when its turn had come and did not begin to come for so long takes nobody else's place."""


class Turns:
    """By neighbour; each is asked for one turn at a time. What it was made with is read, never changed."""

    def __init__(self, picker: Picker, holders: Holders, requests: Requests) -> None:
        self._picker = picker
        self._holders = holders
        self._requests = requests
        self._asked: dict[int, float] = {}
        """Since when."""
        self._come: dict[int, None] = {}
        """In the order they came."""

    def handle_come(self, peer: int) -> None:
        """It is about to send to this peer, and waits for the chunk's number, or for word that there is none."""
        self._asked.pop(peer, None)
        self._come[peer] = None

    def forget(self, peer: int) -> None:
        """It is a neighbour no more."""
        self._asked.pop(peer, None)
        self._come.pop(peer, None)

    @property
    def has_come(self) -> bool:
        """A turn has come, and waits for an answer."""
        return bool(self._come)

    def is_short(self, now: float) -> bool:
        """More turns are to be asked for."""
        believed_s = min(BELIEVED_MOST_S, max(BELIEVED_LEAST_S, BELIEVED_TIMES * self._requests.took_s))
        waited_for = sum(now < since + believed_s for since in self._asked.values()) + len(self._come)
        return waited_for < TURNS and self._has_room(now)

    def ask(self, able: Iterable[int], now: float, *, spares: bool) -> int | None:
        """Call when turns are short. The first of `able` that has something for this peer, to be asked for a turn. With
        `spares` what was asked of somebody else and is late is something, too."""
        late = self._late(now) if spares else []
        for peer in able:
            if peer in self._asked or peer in self._come or self._requests.under_way(peer):
                continue
            if self._choose(peer, late) is not None:
                self._asked[peer] = now
                return peer
        return None

    def take(self, able: Iterable[int], now: float, *, spares: bool) -> Asking | None:
        """What to ask for now, of one of `able` whose turn has come."""
        able = set(able)
        late = self._late(now) if spares else []
        for peer in [peer for peer in self._come if peer in able] if self._has_room(now) else ():
            chunk = self._choose(peer, late)
            if chunk is not None and not self._requests.is_asked(peer, chunk):
                del self._come[peer]
                return Asking(source=peer, chunk=chunk)
        return None

    def poll_pass(self) -> int | None:
        """A neighbour whose turn has come and of which nothing was asked."""
        peer = next(iter(self._come), None)
        if peer is not None:
            del self._come[peer]
        return peer

    def _has_room(self, now: float) -> bool:
        coming = sum(_comes(each, now) for each in self._requests.of_neighbours())
        return coming < RECEIVING and (coming < RECEIVING_LAST or not self._makes_way(now))

    def _makes_way(self, now: float) -> bool:
        """One of the last chunks comes from the origin, and none from a neighbour is late, that another might bring."""
        if self._picker.wanted > LAST_CHUNKS:
            return False
        return any(_comes(each, now) for each in self._requests.of_origin()) and not self._late(now)

    def _choose(self, peer: int, late: Iterable[Request]) -> int | None:
        chunk = self._picker.choose(peer)
        if chunk is None:
            others = (each.chunk for each in late if each.source != peer and self._holders.holds(peer, each.chunk))
            chunk = next(others, None)
        return chunk

    def _late(self, now: float) -> list[Request]:
        """What takes so long that it may be asked of somebody else as well."""
        return [
            each
            for each in self._requests.alone()
            if self._requests.is_late(each, now) and self._picker.phase(each.chunk) is Phase.ASKED
        ]


def _comes(request: Request, now: float) -> bool:
    return request.begun or now < request.asked_at + BEGIN_S
