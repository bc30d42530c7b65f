"""Who is whose neighbour in one subnet: everybody in a small room, a random graph of even degree in a large one.

A mean degree above ln n keeps a random graph whole; ten do for far more members than one swarm may have.
"""

from __future__ import annotations

import random

from transports.p2p.proto.limits import BRIDGES, DEGREE, MAX_NEIGHBOURS

__all__ = ["Graph"]

EDGES_MAX = MAX_NEIGHBOURS - BRIDGES
FULL = 2 * DEGREE
"""A newcomer makes no more edges to who has so many."""
PARTED_MAX = 64
"""Neighbours one member can get rid of; more complaints say more about it than about them."""


class Graph:
    """Undirected. Every method that makes or takes edges returns them, so that those concerned can be told."""

    def __init__(self, rng: random.Random, *, degree: int = DEGREE) -> None:
        self._rng = rng
        self._degree = degree
        self._edges: dict[int, set[int]] = {}
        self._parted: dict[int, set[int]] = {}
        """Who complained to whom it complained about."""

    def __len__(self) -> int:
        return len(self._edges)

    def __contains__(self, member: int) -> bool:
        return member in self._edges

    def neighbours(self, member: int) -> frozenset[int]:
        """Of a member; empty for who is not here."""
        return frozenset(self._edges.get(member, ()))

    def add(self, member: int) -> list[int]:
        """A newcomer and its neighbours."""
        self._edges.setdefault(member, set())
        return self.fill(member)

    def fill(self, member: int) -> list[int]:
        """Give a member the neighbours it lacks. In a crowd who has less than half the degree itself comes first; of
        the others, whoever they are, half the degree is enough, because newcomers will bring the other half. Who came
        late is no more likely a neighbour of who came late, too: what the first have would be long on its way."""
        mine = self._edges[member]
        made: list[int] = []
        half = (self._degree + 1) // 2
        crowd = len(self._edges) > self._degree + 1
        others = [
            (crowd and len(edges) >= half, self._rng.random(), other)
            for other, edges in self._edges.items()
            if other != member and other not in mine and len(edges) < FULL and not self._apart(member, other)
        ]
        for settled, _, other in sorted(others):
            if len(mine) >= (half if settled else self._degree):
                break
            made.append(other)
            self._join(member, other)
        return made

    def connect(self, first: int, second: int) -> bool:
        """Make one edge; False if there is one, either has too many, or the two were parted."""
        if first == second or first not in self._edges or second not in self._edges or self._apart(first, second):
            return False
        if second in self._edges[first] or max(len(self._edges[first]), len(self._edges[second])) >= EDGES_MAX:
            return False
        self._join(first, second)
        return True

    def part(self, first: int, second: int) -> bool:
        """Take the edge of two of whom the first complains; they are not brought together again.

        False if there was none, or who complains has complained about too many.
        """
        parted = self._parted.setdefault(first, set())
        if second not in self._edges.get(first, ()) or len(parted) >= PARTED_MAX:
            return False
        self._edges[first].discard(second)
        self._edges[second].discard(first)
        parted.add(second)
        return True

    def remove(self, member: int) -> list[int]:
        """A member is gone; returns its neighbours, which `fill` may give others."""
        left = sorted(self._edges.pop(member, ()))
        for other in left:
            self._edges[other].discard(member)
        self._parted.pop(member, None)
        for parted in self._parted.values():
            parted.discard(member)
        return left

    def _join(self, first: int, second: int) -> None:
        self._edges[first].add(second)
        self._edges[second].add(first)

    def _apart(self, first: int, second: int) -> bool:
        return second in self._parted.get(first, ()) or first in self._parted.get(second, ())
