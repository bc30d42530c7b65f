"""Sessions: clients taking images. Opens offers, hears reports, ends what nobody uses any more."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from core.errors import BusyError, UsageError
from core.ids import ImageRef, SessionId
from core.subnets import subnet_of
from repod.catalogue import Catalogue, Pin
from repod.lanes import Lanes
from repod.proto.rooms import Rooms
from repod.proto.session_table import SessionState, SessionTable
from repod.telling import Telling
from transports.base import ServedSession
from transports.control import ImageInfo, SessionAdvice, SessionOpened, SessionReport, SessionRequest
from transports.methods import parse_method
from transports.registry import by_protocol

__all__ = ["Sessions"]

KEY_BYTES = 32


class Sessions:
    """All running sessions. Use on the event loop only."""

    def __init__(
        self,
        catalogue: Catalogue,
        lanes: Lanes,
        table: SessionTable,
        telling: Telling,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._lanes = lanes
        self._telling = telling
        self._clock = clock
        self._pins: dict[SessionId, Pin] = {}
        self._rooms = Rooms()
        self.table = table
        self.stopping = False

    async def open(self, request: SessionRequest, *, address: str) -> SessionOpened:
        """Pin the image and offer it. Raises UsageError, NotFoundError, BusyError."""
        ref, first = ImageRef.parse(request.image), _first_transport(request)
        if self.stopping:
            raise BusyError("the repository is stopping", hint="try again when it is back")
        self.table.check_room(address)
        pin = await self._catalogue.pin(ref)
        try:
            return self._offer(request, pin, await self._catalogue.facts(pin), first=first, address=address)
        except BaseException:
            pin.release()
            raise

    def _offer(
        self, request: SessionRequest, pin: Pin, info: ImageInfo, *, first: str | None, address: str
    ) -> SessionOpened:
        """Have the transports offer the pinned image to a session, which owns the pin then; if they do not, nothing of
        it is left."""
        session_id, key = SessionId(secrets.token_hex(16)), secrets.token_bytes(KEY_BYTES)
        manifest, now = pin.manifest, self._clock()
        served = ServedSession(
            id=session_id,
            key=key,
            manifest=manifest,
            chunks=self._catalogue.repository,
            options=request.options,
            host=request.host or address,
            listening=request.listening,
            stored_bytes=info.stored_bytes,
        )
        session = SessionState(
            id=session_id,
            image=str(manifest.ref),
            method=request.method,
            host=request.host,
            address=address,
            opened=now,
            heard=now,
            want=manifest.chunk_count if request.listening else request.want,
        )
        self.table.handle_open(session)
        try:
            if session.want:  # who lacks nothing gives what it has, and takes no part in what the others choose
                self._rooms.handle_open(session_id, image=session.image, subnet=subnet_of(address))
            offers, refusals = self._lanes.open_session(served, first=first)
        except BaseException:
            self._forget(session_id, "not opened")
            raise
        self._pins[session_id] = pin
        self._telling.tell(
            "session_opened",
            session=session_id,
            image=session.image,
            method=session.method,
            host=session.host,
            address=address,
            want=session.want,
        )
        room = self._rooms.room(session_id)
        return SessionOpened(session=session_id, key=key, image=info, offers=offers, refusals=refusals, room=room)

    def report(self, session_id: SessionId, report: SessionReport) -> SessionAdvice:
        """Note where a client stands; its last report ends the session. NotFoundError if the session is gone.

        Returns what the client is to know of the others.
        """
        before = self.table.get(session_id).report
        last = self.table.handle_report(session_id, report, now=self._clock())
        if report.picked and (before is None or before.picked != report.picked):
            self._telling.tell(
                "session_picked",
                session=session_id,
                host=self.table.get(session_id).host,
                transport=report.transport,
                reason=report.picked,
            )
        self._telling.tell(
            "session_report",
            session=session_id,
            state=report.state,
            have=report.have,
            rate=report.rate,
            brake=report.brake,
            transport=report.transport,
            message=report.message,
            picked=report.picked,
        )
        self._rooms.handle_report(session_id, transport=report.transport)
        advice = SessionAdvice(room=self._rooms.room(session_id))
        if last:
            self.close(session_id, report.state)
        return advice

    def close(self, session_id: SessionId, reason: str) -> None:
        """End a session; harmless when it is gone."""
        session = self._forget(session_id, reason)
        if session is None:
            return
        self._pins.pop(session_id).release()
        self._telling.tell(
            "session_expired" if reason == "expired" else "session_closed",
            session=session_id,
            image=session.image,
            host=session.host,
            reason=reason,
            seconds=round(self._clock() - session.opened, 3),
        )

    def _forget(self, session_id: SessionId, reason: str) -> SessionState | None:
        """Take it out of every book; None if it was gone."""
        session = self.table.handle_close(session_id)
        if session is not None:
            self._rooms.handle_close(session_id)
            self._lanes.close(session_id, reason)
        return session

    def close_all(self, reason: str) -> None:
        """End every session."""
        for session in self.table:
            self.close(session.id, reason)

    def expire(self) -> None:
        """End the sessions nobody has been heard of."""
        for session_id in self.table.poll_expired(now=self._clock()):
            self.close(session_id, "expired")

    def handle_lane(self, session_id: SessionId, *, opened: bool) -> None:
        """A transport says that a lane of a session opened or closed."""
        self.table.handle_lane(session_id, opened=opened, now=self._clock())

    def overview(self) -> list[dict[str, Any]]:
        """What runs, for the operator."""
        now = self._clock()
        return [
            {
                "session": session.id,
                "image": session.image,
                "method": session.method,
                "host": session.host,
                "address": session.address,
                "seconds": round(now - session.opened, 3),
                "silent_s": round(now - session.heard, 3),
                "want": session.want,
                "lanes": session.lanes,
                "report": session.report,
                "transports": self._lanes.session_state(session.id),
            }
            for session in self.table
        ]


def _first_transport(request: SessionRequest) -> str | None:
    """The transport of the method; None where the client chooses. UsageError for what makes no sense."""
    method = parse_method(request.method)
    if not method.chooses:
        return by_protocol(method.protocol).name
    if request.options:
        raise UsageError(
            "an option string belongs to a protocol, and AUTO names none",
            hint="name the protocol: MULTICAST, TORRENT or UNICAST",
        )
    return None
