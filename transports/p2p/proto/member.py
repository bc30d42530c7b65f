"""One member of a swarm, as repod knows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from transports.p2p.proto.chunkset import ChunkSet
from transports.p2p.proto.messages import Health

__all__ = ["Member", "Traffic"]


@dataclass(slots=True, kw_only=True)
class Traffic:
    """Stored bytes that arrived, by where they came from. Running totals."""

    same: int = 0
    """From peers of the same subnet."""
    other: int = 0
    """From peers elsewhere."""
    origin: int = 0

    def add(self, health: Health, before: Health | None) -> None:
        """What a member's new figures add to its last. Figures that run backwards began anew."""
        if before is None or health.from_same + health.from_other + health.from_origin < (
            before.from_same + before.from_other + before.from_origin
        ):
            self.same += health.from_same
            self.other += health.from_other
            self.origin += health.from_origin
        else:
            self.same += max(0, health.from_same - before.from_same)
            self.other += max(0, health.from_other - before.from_other)
            self.origin += max(0, health.from_origin - before.from_origin)


@dataclass(slots=True, kw_only=True, eq=False)
class Member:
    """A session's place in the swarm. It outlives its lane for a moment, so that a broken lane parts nobody."""

    id: int
    session: str
    key: bytes = field(repr=False)
    """Its listening key."""
    host: str
    """Address repod sees, where others find it."""
    port: int
    """0: does not listen."""
    subnet: str
    mode: str
    wanted: ChunkSet
    held: ChunkSet
    order: int
    """Of joining."""
    here: bool = True
    """Its lane is open."""
    left_at: float = 0.0
    """When its lane broke."""
    banned: str = ""
    """Why, if it is."""
    stopped: bool = False
    """It was told that nobody needs it."""
    bridges: set[int] = field(default_factory=set)
    """Members of other subnets it may ask while repod cannot be reached."""
    health: Health | None = None
    lost_by: set[int] = field(default_factory=set)
    """Neighbours it did not answer, or sent wrong chunks."""
    stands_by: bool = False
    """It came wanting nothing and without having everything: something else brings it the image."""
    discredited: bool = False
    """Too many say so: nobody counts on what it says it holds."""

    @property
    def serves(self) -> bool:
        """What it has can be had from it."""
        return self.here and self.port > 0 and self.mode != "leecher" and not self.banned and not self.discredited

    @property
    def lacks(self) -> bool:
        """It wants something, and may have it."""
        return self.here and not self.banned and len(self.wanted) > 0
