"""Which sessions run: opening under a limit, reports, lanes, expiry. Pure: the caller gives the time.

A session is open from `handle_open` until its last report, `handle_close`, or expiry: `idle_s` seconds with neither
a report nor an open lane.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import BusyError, NotFoundError
from core.ids import SessionId
from transports.control import SessionReport

__all__ = ["FINAL_STATES", "SessionState", "SessionTable"]

FINAL_STATES = frozenset({"done", "failed"})
"""A report with one of these states is the last of its session."""


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
    """All running sessions, at most `limit`."""

    def __init__(self, *, limit: int, idle_s: float) -> None:
        self._limit = limit
        self._idle_s = idle_s
        self._sessions: dict[SessionId, SessionState] = {}
        self.refused = 0
        """Sessions refused because the limit was reached."""

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

    def check_room(self) -> None:
        """Raise BusyError if no further session may open."""
        if len(self._sessions) >= self._limit:
            self.refused += 1
            raise BusyError(
                f"{self._limit} sessions are running, which is the limit",
                hint="try again later, or raise limits.sessions in repod.toml",
            )

    def handle_open(self, session: SessionState) -> None:
        """Count a session as running. Raises BusyError at the limit."""
        self.check_room()
        self._sessions[session.id] = session

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
        return self._sessions.pop(session_id, None)

    def poll_expired(self, *, now: float) -> list[SessionId]:
        """Sessions to end because nothing was heard of them; they stay in the table until `handle_close`."""
        return [
            session.id
            for session in self._sessions.values()
            if session.lanes == 0 and now - session.heard >= self._idle_s
        ]
