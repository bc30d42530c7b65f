"""Who holds the exclusive lock on which name: one capture of a name at a time. Pure: the caller gives the time.

WAITING    granted, no lane yet; the same owner may take it over after `settle_s` (its first answer got lost)
OPEN       at least one lane is open; nobody else gets in, not even the same owner
BROKEN     the lane closed; the same owner gets it back at once, it expires `hold_s` after the break
COMMITTING the manifest is being published; nothing changes until it ends
COMMITTED  published; the name is free again, the result is kept for `hold_s` in case the answer got lost
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import BusyError, LockedError, NotFoundError
from core.ids import SessionId

__all__ = ["SETTLE_S", "CaptureOwner", "CapturePhase", "CaptureState", "CaptureTable"]

SETTLE_S = 5.0
"""Time a client needs at most from the grant to its first lane."""


class CapturePhase(enum.Enum):
    """Where a capture stands; see the module's table."""

    WAITING = "waiting"
    OPEN = "open"
    BROKEN = "broken"
    COMMITTING = "committing"
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureOwner:
    """Who captures; an equal owner may take a broken capture over."""

    host: str
    """The client's name for itself."""
    address: str
    """Where its requests come from."""
    token: str
    """Id of its token."""

    def __str__(self) -> str:
        return f"{self.host} ({self.address})" if self.host else self.address


@dataclass(slots=True, kw_only=True)
class CaptureState:
    """One capture."""

    id: SessionId
    name: str
    owner: CaptureOwner
    opened: float
    changed: float
    """When the phase last changed, or a sign of life came."""
    phase: CapturePhase = CapturePhase.WAITING
    lanes: int = 0


class CaptureTable:
    """All captures, at most `limit` that hold a lock."""

    def __init__(self, *, limit: int, hold_s: float, settle_s: float = SETTLE_S) -> None:
        self._limit = limit
        self._hold_s = hold_s
        self._settle_s = settle_s
        self._captures: dict[SessionId, CaptureState] = {}
        self._holders: dict[str, SessionId] = {}
        self.refused = 0
        """Captures refused because the limit was reached."""

    def __len__(self) -> int:
        """Captures that hold a lock."""
        return len(self._holders)

    def __iter__(self) -> Iterator[CaptureState]:
        return iter(list(self._captures.values()))

    def get(self, capture_id: SessionId) -> CaptureState:
        """A capture that is not gone. NotFoundError if it is."""
        try:
            return self._captures[capture_id]
        except KeyError:
            raise NotFoundError(
                "the capture is gone", hint="start it again: what was uploaded is not sent twice"
            ) from None

    def handle_open(self, capture_id: SessionId, name: str, owner: CaptureOwner, *, now: float) -> CaptureState:
        """Take the lock on `name`: a new capture with `capture_id`, or the owner's own one given back.

        Raises LockedError while another holds the name, BusyError at the limit.
        """
        holder = self._holders.get(name)
        if holder is not None:
            return self._give_back(self._captures[holder], owner, now=now)
        if len(self._holders) >= self._limit:
            self.refused += 1
            raise BusyError(
                f"{self._limit} captures are running, which is the limit",
                hint="try again later, or raise limits.captures in repod.toml",
            )
        capture = CaptureState(id=capture_id, name=name, owner=owner, opened=now, changed=now)
        self._captures[capture_id] = capture
        self._holders[name] = capture_id
        return capture

    def handle_lane(self, capture_id: SessionId, *, opened: bool, now: float) -> None:
        """A data lane of the capture opened or closed. Unknown ids are ignored."""
        capture = self._captures.get(capture_id)
        if capture is None:
            return
        capture.lanes = max(capture.lanes + (1 if opened else -1), 0)
        if capture.phase in (CapturePhase.WAITING, CapturePhase.OPEN, CapturePhase.BROKEN):
            self._move(capture, CapturePhase.OPEN if capture.lanes else CapturePhase.BROKEN, now=now)

    def handle_commit(self, capture_id: SessionId, *, now: float) -> bool:
        """Start publishing; False if it is published already. LockedError while an earlier request still publishes."""
        capture = self.get(capture_id)
        if capture.phase is CapturePhase.COMMITTED:
            return False
        if capture.phase is CapturePhase.COMMITTING:
            raise LockedError("this capture is being published", hint="wait for the first request to end")
        self._move(capture, CapturePhase.COMMITTING, now=now)
        return True

    def handle_committed(self, capture_id: SessionId, *, now: float) -> None:
        """The image is visible: the name is free."""
        capture = self.get(capture_id)
        self._holders.pop(capture.name, None)
        self._move(capture, CapturePhase.COMMITTED, now=now)
        kept = [other.id for other in self._captures.values() if other.phase is CapturePhase.COMMITTED]
        for old in kept[: -self._limit]:
            del self._captures[old]

    def handle_commit_failed(self, capture_id: SessionId, *, now: float) -> None:
        """Publishing failed: the capture goes on as before."""
        capture = self._captures.get(capture_id)
        if capture is not None:
            self._move(capture, CapturePhase.OPEN if capture.lanes else CapturePhase.BROKEN, now=now)

    def handle_release(self, capture_id: SessionId) -> CaptureState | None:
        """Forget a capture and free its name; None if it was gone. LockedError while it is being published."""
        capture = self._captures.get(capture_id)
        if capture is None:
            return None
        if capture.phase is CapturePhase.COMMITTING:
            raise LockedError("this capture is being published")
        del self._captures[capture_id]
        if self._holders.get(capture.name) == capture_id:
            del self._holders[capture.name]
        return capture

    def poll_expired(self, *, now: float) -> list[SessionId]:
        """Captures to release because nothing was heard of them; they stay until `handle_release`."""
        quiet = (CapturePhase.WAITING, CapturePhase.BROKEN, CapturePhase.COMMITTED)
        return [
            capture.id
            for capture in self._captures.values()
            if capture.phase in quiet and now - capture.changed >= self._hold_s
        ]

    def _give_back(self, capture: CaptureState, owner: CaptureOwner, *, now: float) -> CaptureState:
        settled = now - capture.changed >= self._settle_s
        free = capture.phase is CapturePhase.BROKEN or (capture.phase is CapturePhase.WAITING and settled)
        if owner == capture.owner and free:
            capture.changed = now
            return capture
        raise LockedError(
            f"{capture.owner} has been capturing {capture.name} for {now - capture.opened:.0f} s",
            hint=f"wait until it ends; if that client died, the name is free {self._hold_s:.0f} s after its lane broke",
        )

    def _move(self, capture: CaptureState, phase: CapturePhase, *, now: float) -> None:
        capture.phase = phase
        capture.changed = now
