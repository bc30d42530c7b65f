"""Hope: how long a member goes on with a swarm that gives nothing before its session tries something else."""

from __future__ import annotations

import enum

__all__ = ["GIVE_UP_S", "IDLE_S", "ORIGIN_S", "REFUSED_S", "Hope", "Outcome"]

GIVE_UP_S = 10.0
"""Without repod, and nothing coming from anybody for so long: the session tries something else."""
REFUSED_S = 0.1
"""When repod is there again and knows this member no more, it is asked for another session as soon as the swarm has
nothing to give: so the old swarm first passes on what it has."""
ORIGIN_S = 6.0
"""Without the origin's lane, while repod answers, and without anything from anybody for so long: take another path."""
IDLE_S = 30.0
"""Nothing is asked of anybody and nothing came for so long, though repod answers: take another path."""


class Outcome(enum.Enum):
    """What there is to hope for."""

    WAIT = enum.auto()
    IDLE = enum.auto()
    """Nobody was found to ask, for IDLE_S."""
    CUT_OFF = enum.auto()
    """The origin does not answer, and peers have nothing that is lacking, for ORIGIN_S."""
    ALONE = enum.auto()
    """Repod is out of reach, or knows this member no more, and nothing moves."""


class Hope:
    """Pure. What still moves is hope: chunks under way to this member, or others that are being given some."""

    def __init__(self, *, stands_by: bool, now: float) -> None:
        """`stands_by`: it takes nothing yet, so that it is neither cut off nor idle."""
        self._stands_by = stands_by
        self._since: float | None = None
        """When repod went out of reach; None while it is within."""
        self._given = 0
        self._moved_at = self._cut_off_since = self._idle_since = now

    def handle_repod(self, reachable: bool, now: float) -> None:
        """The member lane is up, or down."""
        if reachable:
            self._since = None
        elif self._since is None:
            self._since = now

    def look(
        self,
        now: float,
        *,
        given: int,
        quiet_since: float,
        under_way: bool,
        in_hand: bool,
        has_origin: bool,
        peers: bool,
        refused: bool,
    ) -> Outcome:
        """Called often, while something is lacking.

        `given`: bytes that others got from this member; `quiet_since`: when anything last arrived; `under_way`: asked
        for; `in_hand`: here, and not verified yet; `peers`: there are some to wait for; `refused`: repod is back and
        does not know this member.
        """
        if given != self._given or under_way:
            self._given, self._moved_at = given, now
        elsewhere = self._since is not None or self._stands_by
        if under_way or has_origin or elsewhere:
            self._cut_off_since = now
        if under_way or in_hand or elsewhere:
            self._idle_since = now
        if now >= max(self._idle_since, quiet_since) + IDLE_S:
            return Outcome.IDLE
        if now >= max(self._cut_off_since, quiet_since) + ORIGIN_S:
            return Outcome.CUT_OFF
        patience = REFUSED_S if refused or not peers else GIVE_UP_S
        if self._since is not None and now >= max(self._since, self._moved_at, quiet_since) + patience:
            return Outcome.ALONE
        return Outcome.WAIT
