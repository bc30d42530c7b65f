"""Who says that whom sends bad chunks. One word does not ban: it may be the accuser who lies.

The two are parted at the first accusation. A second member that says the same bans the accused from the swarm; a member
that accuses many whom nobody else accuses is banned itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Accusations"]

ACCUSERS = 2
"""So many different members ban a peer."""
SLANDERS = 4
"""Who accuses so many peers that nobody else accuses is taken for the one at fault."""


@dataclass(slots=True)
class Accusations:
    """Bounded by the square of a member's neighbours, since only neighbours are listened to."""

    _against: dict[int, set[int]] = field(default_factory=dict)
    """Accused to accusers."""

    def accuse(self, accuser: int, accused: int, *, alone: bool = False) -> int | None:
        """Note it; returns who is to be banned. `alone`: nobody else could ever confirm it."""
        accusers = self._against.setdefault(accused, set())
        accusers.add(accuser)
        if alone or len(accusers) >= ACCUSERS:
            return accused
        slanders = sum(1 for others in self._against.values() if others == {accuser})
        return accuser if slanders >= SLANDERS else None

    def forget(self, member: int) -> None:
        """A member is gone; what it said goes with it."""
        self._against.pop(member, None)
        for accusers in self._against.values():
            accusers.discard(member)

    def against(self, member: int) -> int:
        """How many accuse it."""
        return len(self._against.get(member, ()))
