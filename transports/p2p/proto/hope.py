"""Hope: how long a member goes on without repod before its session tries something else."""

from __future__ import annotations

__all__ = ["GIVE_UP_S", "REFUSED_S", "Hope"]

GIVE_UP_S = 10.0
"""Without repod, and nothing coming from anybody for so long: the session tries something else."""
REFUSED_S = 0.1
"""When repod is there again and knows this member no more, it is asked for another session as soon as the swarm has
nothing to give: so the old swarm first passes on what it has."""


class Hope:
    """Pure. What still moves is hope: chunks under way to this member, or others that are being given some."""

    def __init__(self) -> None:
        self._since: float | None = None

    def handle_repod(self, reachable: bool, now: float) -> None:
        """The member lane is up, or down."""
        if reachable:
            self._since = None
        elif self._since is None:
            self._since = now

    def is_lost(self, now: float, *, moved_at: float, peers: bool, refused: bool) -> bool:
        """True when waiting makes no sense. `moved_at`: when anything last arrived or was given; `peers`: there are
        some to wait for; `refused`: repod is back and does not know this member."""
        if self._since is None:
            return False
        patience = REFUSED_S if refused or not peers else GIVE_UP_S
        return now >= max(self._since, moved_at) + patience
