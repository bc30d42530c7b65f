"""What repod.toml says about swarms, for the machines."""

from __future__ import annotations

from dataclasses import dataclass

from transports.p2p.proto.limits import HAVE_INTERVAL_S, MAX_MEMBERS
from transports.p2p.proto.member import Member
from transports.p2p.proto.messages import Welcome

__all__ = ["SwarmRules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmRules:
    """Of every swarm of a daemon."""

    streams: int = 10
    """Members of a subnet that take chunks from the origin at a time."""
    window: int = 256
    """How many chunks ahead of its lowest missing one a member is assigned others."""
    slots: int = 10
    """Receivers a member should serve at a time."""
    max_members: int = MAX_MEMBERS

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
