"""What a simulated peer may know of the world around it: a clock, lengths, ways, and repod's ear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from bench.simnet.clock import Clock
from bench.simnet.swarm.uploads import Uploads
from bench.simnet.swarm.wire import Port
from transports.p2p.proto.messages import SwarmMessage

if TYPE_CHECKING:
    from bench.simnet.swarm.peer import SimPeer

__all__ = ["Ground"]


class Ground(Protocol):
    """A Campus, as its peers see it. Peers are named by their member id, the origin by ORIGIN."""

    clock: Clock
    chunks: int
    train_bytes: int
    delay_s: float
    """One way, of everything."""
    think_s: float
    """A host takes what came meanwhile together, so long after the first."""

    def length_of(self, chunk: int) -> int:
        """Stored bytes."""

    def digest(self, chunk: int) -> bytes: ...

    def peer(self, member: int) -> SimPeer | None:
        """Who has this id and can be connected to."""

    def is_liar(self, member: int) -> bool: ...

    def uploads(self, source: int) -> Uploads | None:
        """The sending side of a source, if it is there."""

    def path(self, source: int, to: SimPeer) -> Sequence[Port]:
        """Ports from a source's wire to a peer."""

    def place(self, source: int, of: SimPeer) -> str:
        """Where a source is for a peer: `origin`, `same` or `other` subnet."""

    def tell_repod(self, who: SimPeer, message: SwarmMessage) -> None:
        """On the member lane."""

    def handle_done(self, who: SimPeer) -> None:
        """It has everything."""
