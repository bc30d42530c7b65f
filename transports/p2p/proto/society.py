"""Who knows whom in a swarm: neighbours within each subnet, a few bridges between subnets, and what they are told."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from transports.p2p.proto.credentials import credential
from transports.p2p.proto.graph import Graph
from transports.p2p.proto.limits import BRIDGES
from transports.p2p.proto.member import Member
from transports.p2p.proto.messages import PeerAddress
from transports.p2p.proto.outbox import Outbox

__all__ = ["Society"]

LOST_BY = 3
"""Who does not answer so many neighbours is introduced to nobody any more."""


class Society:
    """Works on the members of the directory and leaves messages in its outbox."""

    def __init__(self, members: Mapping[int, Member], out: Outbox, rng: random.Random) -> None:
        self._members = members
        self._out = out
        self._rng = rng
        self._graphs: dict[str, Graph] = {}

    def neighbours(self, member: Member) -> list[Member]:
        """Whom it may ask and who may ask it, as far as they serve."""
        graph = self._graphs.get(member.subnet)
        return [] if graph is None else [self._members[other] for other in sorted(graph.neighbours(member.id))]

    def introduce(self, member: Member) -> None:
        """A member is here (again): it is told all its neighbours, and they are told it."""
        self._graphs.setdefault(member.subnet, Graph(self._rng)).add(member.id)
        for other in self.neighbours(member):
            self._meet(member, other)
        member.bridges.clear()
        self._bridge(member)
        # Who was here first had nobody, or too few, to choose from.
        for other in self._members.values():
            if other.subnet != member.subnet and len(other.bridges) < BRIDGES:
                self._bridge(other)

    def refill(self, member: Member) -> None:
        """Give a member neighbours in place of those it lost."""
        graph = self._graphs.get(member.subnet)
        if graph is not None and member.id in graph and member.here:
            for other in graph.fill(member.id):
                self._meet(member, self._members[other])

    def find_holder(self, member: Member, chunk: int) -> Member | None:
        """Somebody of a member's subnet who can give it a chunk."""
        able = [
            other
            for other in self._members.values()
            if other.subnet == member.subnet and other is not member and other.serves and chunk in other.held
        ]
        return self._rng.choice(able) if able else None

    def connect(self, first: Member, second: Member) -> bool:
        """Make two of one subnet neighbours; False if they were, or cannot be."""
        if not self._graphs[first.subnet].connect(first.id, second.id):
            return False
        self._meet(first, second)
        return True

    def part(self, first: Member, second: Member) -> bool:
        """Two are to leave each other alone from now on; False if they were no neighbours."""
        if first.subnet != second.subnet or not self._graphs[first.subnet].part(first.id, second.id):
            return False
        for asking, asked in ((first, second), (second, first)):
            if asking.here:
                self._out.forget(asking.id, asked.id)
        return True

    def claimants(self, member: Member, chunks: Iterable[int]) -> list[int]:
        """Neighbours of a member that say that they hold, and can give, each of `chunks` it wants."""
        wanted = [chunk for chunk in chunks if chunk in member.wanted]
        near = self.neighbours(member) if wanted else []
        return [other.id for other in near if other.serves and all(chunk in other.held for chunk in wanted)]

    def is_forsaken(self, member: Member) -> bool:
        """Enough members say that it does not give what it holds: LOST_BY of them, or all of its subnet that lack
        something."""
        lacking = [
            other.id
            for other in self._members.values()
            if other.subnet == member.subnet and other is not member and other.lacks
        ]
        return len(member.lost_by) >= LOST_BY or (bool(lacking) and member.lost_by.issuperset(lacking))

    def remove(self, member: Member, *, banned: bool) -> None:
        """A member is gone, or banned: nobody asks it or serves it any more."""
        graph = self._graphs[member.subnet]
        near = [self._members[other] for other in graph.remove(member.id)]
        if not len(graph):
            del self._graphs[member.subnet]
        for other in self._members.values():
            other.lost_by.discard(member.id)
            bridge = member.id in other.bridges
            other.bridges.discard(member.id)
            if other is member or not other.here:
                continue
            if banned:
                self._out.banned(other.id, member.id)
            elif bridge:
                self._out.forget(other.id, member.id)
            if bridge:
                self._bridge(other)
        for other in near:
            if other.here and not banned:
                self._out.forget(other.id, member.id)
            self.refill(other)

    def _bridge(self, member: Member) -> None:
        """Give a member as many bridges as it should have, to subnets it has none to where there are such."""
        if not member.here or member.banned:
            return
        far = [each for each in self._members.values() if each.subnet != member.subnet and each.serves]
        while len(member.bridges) < BRIDGES:
            reached = {self._members[bridge].subnet for bridge in member.bridges}
            able = [each for each in far if each.id not in member.bridges]
            able = [each for each in able if each.subnet not in reached] or able
            if not able:
                return
            chosen = self._rng.choice(able)
            member.bridges.add(chosen.id)
            self._out.meet(member.id, _address(chosen, member))

    def _meet(self, first: Member, second: Member) -> None:
        for asking, asked in ((first, second), (second, first)):
            if asking.here and not asking.banned and asked.serves and len(asked.lost_by) < LOST_BY:
                self._out.meet(asking.id, _address(asked, asking))


def _address(asked: Member, asking: Member) -> PeerAddress:
    return PeerAddress(
        id=asked.id,
        host=asked.host,
        port=asked.port,
        credential=credential(asked.key, asking.id, far=asked.subnet != asking.subnet),
        same_subnet=asked.subnet == asking.subnet,
        bridge=asked.subnet != asking.subnet,
    )
