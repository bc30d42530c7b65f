"""Whom a simulated peer knows: neighbours as repod names them, and bridges for when repod is out of reach."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from bench.simnet.swarm.ground import Ground
from transports.p2p.proto.messages import Lost, PeerAddress

if TYPE_CHECKING:
    from bench.simnet.swarm.peer import SimPeer

__all__ = ["Circle"]

DIAL_TRIPS = 6
"""Delays from dialling to an open lane: TCP, two round trips of the handshake, OPEN."""
MAP_TRIPS = 2
DIAL_TRIES = 3
DIAL_PAUSE_S = 0.5


class Circle:
    """Makes and breaks the connections of `owner` to those it asks."""

    def __init__(self, owner: SimPeer, ground: Ground) -> None:
        self._owner = owner
        self._ground = ground
        self._known: dict[int, bool] = {}
        """Members repod named: whether each is a bridge."""
        self._banned: set[int] = set()
        self._bridging = False

    def meet(self, peers: Iterable[PeerAddress]) -> None:
        """Neighbours from now on."""
        for peer in peers:
            if peer.id in self._banned:
                continue
            known = peer.id in self._known
            self._known[peer.id] = peer.bridge
            if not known and (self._bridging or not peer.bridge):
                self._dial(peer.id)

    def use_bridges(self, use: bool) -> None:
        """Repod is out of reach, or back."""
        self._bridging = use
        for peer in [peer for peer, bridge in self._known.items() if bridge]:
            if use:
                self._dial(peer)
            else:
                self._hang_up(peer)

    def forget(self, ids: Iterable[int]) -> None:
        """Neighbours no more."""
        for peer in ids:
            self._known.pop(peer, None)
            self._hang_up(peer)

    def ban(self, ids: Iterable[int]) -> None:
        """Neither asked nor served again."""
        for peer in ids:
            self._banned.add(peer)
            self._owner.swarm.standing.ban(peer)
            if (other := self._ground.peer(peer)) is not None:
                other.handle_source_gone(self._owner.member)
                self._owner.handle_receiver_gone(other.number)
        self.forget(ids)

    def _dial(self, peer: int, tries: int = 1) -> None:
        self._later(DIAL_TRIPS * self._ground.delay_s, peer, tries)

    def _later(self, delay_s: float, peer: int, tries: int) -> None:
        self._ground.clock.at(self._ground.clock.now + delay_s, partial(self._dialled, peer, tries))

    def _dialled(self, peer: int, tries: int) -> None:
        owner = self._owner
        if not owner.alive or peer not in self._known or peer in owner.swarm.requests:
            return
        other = self._ground.peer(peer)
        if other is None:
            if tries < DIAL_TRIES:
                self._later(DIAL_PAUSE_S * 2**tries, peer, tries + 1)
            else:
                owner.say(Lost(peer=peer, reason="no answer"))
            return
        owner.swarm.handle_source(peer, self._ground.clock.now, bridge=self._known[peer])
        other.uploads.join(owner.number, owner)
        self._ground.clock.at(self._ground.clock.now + MAP_TRIPS * self._ground.delay_s, partial(self._hear_map, peer))

    def _hear_map(self, peer: int) -> None:
        if (other := self._ground.peer(peer)) is not None:
            self._owner.handle_map(peer, other.held.copy())

    def _hang_up(self, peer: int) -> None:
        if peer in self._owner.swarm.requests:
            self._owner.handle_source_gone(peer)
            if (other := self._ground.peer(peer)) is not None:
                other.handle_receiver_gone(self._owner.number)
