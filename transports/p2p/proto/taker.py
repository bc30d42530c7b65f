"""A member as one who takes chunks from the origin, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass, field

from transports.p2p.proto.limits import ASSIGNED_AHEAD
from transports.p2p.proto.member import Member

__all__ = ["Assignment", "Taker"]

REST_FIRST_S = 0.5
REST_MAX_S = 30.0
"""Who was late or failed is given nothing for so long, twice as long each time in a row."""


@dataclass(slots=True, kw_only=True)
class Taker:
    """A member's part in the scatter."""

    member: Member
    counted: bool
    """What it holds counts, because others can have it."""
    open: dict[int, float] = field(default_factory=dict)
    """Chunks under way to it, and since when."""
    served: int = 0
    """Chunks it took, and those that everybody had taken when it came."""
    took_s: float = 0.0
    """What the last of them took."""
    ahead: int = ASSIGNED_AHEAD
    """Chunks it may have under way; grows as they arrive."""
    strikes: int = 0
    """Chunks in a row that took too long."""
    rests_until: float = float("-inf")
    verified_at: float = float("inf")
    """When it last said that it verified something, or was given its first chunk to take."""
    base: int = 0
    """Its lowest chunk wanted, or below."""
    hushed: bool = False
    """What it holds counts no more until it verifies something again."""
    doubts: dict[int, float] = field(default_factory=dict)
    """Members it does not get from what they say they hold, and until when that is believed."""

    @property
    def total(self) -> int:
        """Chunks it took, and those under way to it."""
        return self.served + len(self.open)

    def is_quiet(self, now: float, patience_s: float) -> bool:
        """It brought something, but verified nothing for so long. What all take first takes each its own time."""
        return self.took_s > 0 and now - self.verified_at >= patience_s

    def strike(self, now: float) -> None:
        """What it was given took too long, or failed."""
        self.strikes += 1
        self.ahead = 1
        self.rests_until = now + min(REST_MAX_S, REST_FIRST_S * 2.0 ** (min(self.strikes, 8) - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A chunk given to a member, or taken from it."""

    member: int
    chunk: int
