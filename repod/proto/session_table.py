"""Which sessions run: opening under limits, reports, lanes, expiry. Pure: the caller gives the time.

A session is open from `handle_open` until its last report, `handle_close`, or expiry: `idle_s` seconds with neither
a report nor an open lane. Two limits hold: one for all sessions, and one for those of one machine, so that nobody with
a token takes the place of all others.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import BusyError, NotFoundError
from core.ids import SessionId
from transports.control import SessionReport

__all__ = ["FINAL_STATES", "SessionState", "SessionTable", "holder_of"]

FINAL_STATES = frozenset({"done", "failed"})
"""A report with one of these states is the last of its session."""

IPV6_HOLDER_PREFIX = 64
"""A machine may take any address of its /64."""


def holder_of(address: str) -> str:
    """Who is counted as one: an address of IPv4, a /64 of IPv6. What is no address stands for itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_HOLDER_PREFIX), strict=False))


@dataclass(slots=True, kw_only=True)
class SessionState:
    """One running session, as the operator sees it."""

    id: SessionId
    image: str
    """`name@version`."""
    method: str
    host: str
    """The client's name for itself."""
    address: str
    """Where its request came from."""
    opened: float
    heard: float
    """Time of the last sign of life."""
    want: int
    """Chunks it lacked at the start."""
    lanes: int = 0
    """Open data lanes."""
    report: SessionReport | None = None


class SessionTable:
    """All running sessions, at most `limit`, of these `per_address` of one holder (see `holder_of`)."""

    def __init__(self, *, limit: int, per_address: int, idle_s: float) -> None:
        self._limit = limit
        self._per_address = per_address
        self._idle_s = idle_s
        self._sessions: dict[SessionId, SessionState] = {}
        self._held: Counter[str] = Counter()
        self.refused = 0
        """Sessions refused because the limit was reached."""
        self.refused_address = 0
        """Sessions refused because those of one address were at theirs."""

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[SessionState]:
        return iter(list(self._sessions.values()))

    def get(self, session_id: SessionId) -> SessionState:
        """A running session. NotFoundError if it is gone."""
        try:
            return self._sessions[session_id]
        except KeyError:
            raise NotFoundError("the session is gone", hint="open another and go on") from None

    def check_room(self, address: str) -> None:
        """Raise BusyError if no further session may open from `address`."""
        if len(self._sessions) >= self._limit:
            self.refused += 1
            raise BusyError(
                f"{self._limit} sessions are running, which is the limit",
                hint="try again later, or raise limits.sessions in repod.toml",
            )
        if self._held[holder_of(address)] >= self._per_address:
            self.refused_address += 1
            raise BusyError(
                f"{self._per_address} sessions are running from {address}, which is the limit of one address",
                hint="try again later, or raise limits.sessions_per_address in repod.toml",
            )

    def handle_open(self, session: SessionState) -> None:
        """Count a session, whose id is new, as running. Raises BusyError at a limit."""
        self.check_room(session.address)
        self._sessions[session.id] = session
        self._held[holder_of(session.address)] += 1

    def handle_report(self, session_id: SessionId, report: SessionReport, *, now: float) -> bool:
        """Note where a client stands; True if that was its last report. NotFoundError if the session is gone."""
        session = self.get(session_id)
        session.report = report
        session.heard = max(session.heard, now)
        return report.state in FINAL_STATES

    def handle_lane(self, session_id: SessionId, *, opened: bool, now: float) -> None:
        """A data lane of the session opened or closed. Unknown ids are ignored: the session may just have ended."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.lanes = max(session.lanes + (1 if opened else -1), 0)
            session.heard = max(session.heard, now)

    def handle_close(self, session_id: SessionId) -> SessionState | None:
        """Forget a session; None if it was gone already."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            holder = holder_of(session.address)
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
        return session

    def poll_expired(self, *, now: float) -> list[SessionId]:
        """Sessions to end because nothing was heard of them; they stay in the table until `handle_close`."""
        return [
            session.id
            for session in self._sessions.values()
            if session.lanes == 0 and now - session.heard >= self._idle_s
        ]
