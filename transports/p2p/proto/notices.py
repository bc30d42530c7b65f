"""What a swarm has for its shell beside messages: log lines, members to put out, chunks to look after, totals."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from transports.p2p.proto.member import Member

__all__ = ["EVENTS_MAX", "Event", "Notices"]

EVENTS_MAX = 256
"""Of each kind between two polls; older ones are dropped, and counted."""

Event = tuple[str, dict[str, Any]]


class Notices:
    """Collected until they are polled."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._expelled: list[tuple[int, str]] = []
        self._suspects: dict[int, None] = {}
        self.counts: Counter[str] = Counter()

    def tell(self, name: str, member: Member, **fields: Any) -> None:
        """Something about a member that is worth a log line."""
        if len(self._events) >= EVENTS_MAX:
            self._events.popleft()
            self.counts["limit_events"] += 1
        self._events.append((name, {"session": member.session, "host": member.host, "subnet": member.subnet, **fields}))

    def expel(self, member: Member, reason: str) -> None:
        """Its lane is to be closed."""
        self._expelled.append((member.id, reason))

    def suspect(self, chunks: list[int]) -> None:
        """Members could not take these from the origin. At most EVENTS_MAX are kept; others will be named again."""
        for chunk in chunks:
            if len(self._suspects) < EVENTS_MAX:
                self._suspects[chunk] = None

    def poll_events(self) -> list[Event]:
        """(name, fields), in order."""
        events = list(self._events)
        self._events.clear()
        return events

    def poll_expelled(self) -> list[tuple[int, str]]:
        """(member, reason)."""
        expelled, self._expelled = self._expelled, []
        return expelled

    def poll_suspects(self) -> list[int]:
        """In rising order."""
        suspects = sorted(self._suspects)
        self._suspects.clear()
        return suspects
