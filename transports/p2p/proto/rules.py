"""What repod.toml says about swarms, for the machines."""

from __future__ import annotations

from dataclasses import dataclass, replace

from transports.p2p.proto.limits import HAVE_INTERVAL_S, MAX_MEMBERS
from transports.p2p.proto.member import Member
from transports.p2p.proto.messages import Welcome

__all__ = ["WINDOW_BYTES", "SwarmRules"]

WINDOW_BYTES = 1 << 30
"""A window reaches so far at least. What is common comes last, so that the lowest missing chunk of everybody stays far
behind the highest that was sent: 256 chunks of 1 MiB are used up in two seconds, and then the origin stands still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmRules:
    """Of every swarm of a daemon."""

    streams: int = 10
    """Members of a subnet that take chunks from the origin at a time."""
    window: int = 256
    """How many chunks ahead of its lowest missing one a member is assigned others; for small chunks see `reaching`."""
    slots: int = 10
    """Receivers a member should serve at a time."""
    max_members: int = MAX_MEMBERS

    def reaching(self, chunk_bytes: int) -> SwarmRules:
        """The same for an image of chunks of `chunk_bytes`: its window is WINDOW_BYTES at least."""
        return replace(self, window=max(self.window, WINDOW_BYTES // chunk_bytes))

    def welcome(self, member: Member) -> Welcome:
        """The answer to an announcement."""
        return Welcome(
            member=member.id,
            listen_key=member.key,
            subnet=member.subnet,
            window=self.window,
            slots=self.slots,
            have_interval_ms=round(HAVE_INTERVAL_S * 1000),
        )
