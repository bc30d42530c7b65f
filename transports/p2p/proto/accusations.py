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
    """By session, for as long as that lasts: whoever leaves and comes again has not begun anew. Bounded by the square
    of a member's neighbours, since only neighbours are listened to."""

    _against: dict[str, dict[str, str]] = field(default_factory=dict)
    """Accused to accusers: under the name they count by, the session that said so."""

    def accuse(self, accuser: str, accused: str, *, name: str = "", alone: bool = False) -> str | None:
        """Note it; returns who is to be banned. Sessions of one `name` count as one accuser; without it each counts.
        `alone`: nobody else could ever confirm it."""
        accusers = self._against.setdefault(accused, {})
        accusers.setdefault(name or accuser, accuser)
        if alone or len(accusers) >= ACCUSERS:
            return accused
        slanders = sum(1 for others in self._against.values() if set(others.values()) == {accuser})
        return accuser if slanders >= SLANDERS else None

    def forget(self, session: str) -> None:
        """It is over; what it said goes with it, and what was said of it."""
        self._against.pop(session, None)
        for accusers in self._against.values():
            for name in [name for name, said_by in accusers.items() if said_by == session]:
                del accusers[name]

    def against(self, session: str) -> int:
        """How many accuse it."""
        return len(self._against.get(session, ()))
