"""Standing: which neighbours may be asked. Late answers cost a rest, a wrong chunk costs everything."""

from __future__ import annotations

__all__ = ["DEMERITS_MAX", "REFUSALS_MAX", "REST_S", "Standing"]

DEMERITS_MAX = 3
REFUSALS_MAX = 8
"""So many times in a row a neighbour may have nothing of what it says it holds. One that lets go of chunks says so at
once: no more than the few that were asked for meanwhile are refused."""
REST_S = 30.0


class Standing:
    """Peers are named by their id. A ban holds for the session, also for a peer that goes and comes again."""

    def __init__(self) -> None:
        self._demerits: dict[int, int] = {}
        self._refusals: dict[int, int] = {}
        self._doubted: set[int] = set()
        self._rest_until: dict[int, float] = {}
        self._banned: set[int] = set()
        self.rests = 0
        """Times a neighbour was given a rest."""

    @property
    def banned(self) -> frozenset[int]:
        """Peers nothing is taken from or given to."""
        return frozenset(self._banned)

    def may_ask(self, peer: int, now: float) -> bool:
        """Neither banned nor resting."""
        return peer not in self._banned and self._rest_until.get(peer, now) <= now

    def is_blamed(self, peer: int) -> bool:
        """An answer did not come, whoever is to blame, and no good chunk since."""
        return self._demerits.get(peer, 0) > 0 or peer in self._doubted

    def ban(self, peer: int) -> bool:
        """Never again; False if it was banned already."""
        was = peer in self._banned
        self._banned.add(peer)
        return not was

    def blame(self, peer: int, now: float) -> bool:
        """An answer did not come. True when that gave it a rest."""
        count = self._demerits[peer] = self._demerits.get(peer, 0) + 1
        if count < DEMERITS_MAX:
            return False
        self._rest(peer, now)
        return True

    def doubt(self, peer: int) -> None:
        """An answer did not come, though it said all the time that this peer's turn will: its uplink may be that slow,
        and it may be asked again, but what it alone holds is to be had elsewhere."""
        self._doubted.add(peer)

    def refuse(self, peer: int, now: float) -> bool:
        """It has not what it says it holds. True when that gave it a rest."""
        count = self._refusals[peer] = self._refusals.get(peer, 0) + 1
        if count < REFUSALS_MAX:
            return False
        self._rest(peer, now)
        return True

    def praise(self, peer: int) -> None:
        """A good chunk came: what was late before is forgotten."""
        self._demerits.pop(peer, None)
        self._refusals.pop(peer, None)
        self._doubted.discard(peer)

    def forget(self, peer: int) -> None:
        """It is no neighbour any more; only a ban is remembered."""
        self._demerits.pop(peer, None)
        self._refusals.pop(peer, None)
        self._doubted.discard(peer)
        self._rest_until.pop(peer, None)

    def _rest(self, peer: int, now: float) -> None:
        self._demerits[peer] = self._refusals[peer] = 0
        self._rest_until[peer] = now + REST_S
        self.rests += 1
