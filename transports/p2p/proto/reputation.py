"""Reputation: what is held against a session whose member left, so that coming again is no beginning anew."""

from __future__ import annotations

from collections.abc import Container

from transports.p2p.proto.member import Member

__all__ = ["DOUBT_S", "Reputation"]

DOUBT_S = 60.0
"""Whom nobody got anything from is not believed again for so long, whatever it announces meanwhile."""


class Reputation:
    """By session, until that is over."""

    def __init__(self) -> None:
        self._complaints: dict[str, set[int]] = {}
        """Members that complained, as long as the member of the session is away."""
        self._doubted_until: dict[str, float] = {}

    def handle_left(self, member: Member) -> None:
        """A member is gone; its session may have another."""
        if member.lost_by:
            self._complaints[member.session] = member.lost_by

    def handle_closed(self, session: str) -> None:
        """A session is over and will not come back."""
        self._complaints.pop(session, None)
        self._doubted_until.pop(session, None)

    def take_complaints(self, session: str, before: Member | None, members: Container[int]) -> set[int]:
        """Who of `members` has complained of the session's member: of `before` if that is still there."""
        said = self._complaints.pop(session, set()) if before is None else before.lost_by
        return {other for other in said if other in members}

    def discredit(self, session: str, now: float) -> None:
        """What its member says it holds counts no more."""
        self._doubted_until[session] = now + DOUBT_S

    def is_doubted(self, session: str, now: float) -> bool:
        """It was discredited lately."""
        return now < self._doubted_until.get(session, now)
