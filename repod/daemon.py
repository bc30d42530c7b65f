"""The daemon's parts put together, without HTTP: what handlers work on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import OgcastError
from core.ids import SessionId
from images.repository import Repository
from repod.captures import Captures
from repod.catalogue import Catalogue
from repod.events import EventHub
from repod.lanes import Lanes
from repod.layout import Layout
from repod.proto.capture_table import CaptureTable
from repod.proto.failure_log import FailureLog
from repod.proto.session_table import SessionTable
from repod.sessions import Sessions
from repod.settings import Settings
from repod.telling import Telling
from repod.tokens import TokenFile
from repod.torrents.publications import Publications
from repod.torrents.service import TorrentService
from transports.registry import specs

__all__ = ["Daemon", "build_daemon"]

TICK_S = 1.0
"""How often expired sessions and captures, and images of other processes, are looked for."""
MANIFESTS_AT_ONCE = 2


@dataclass(slots=True, kw_only=True)
class Daemon:
    """One repository being served. Use on the event loop only."""

    settings: Settings
    layout: Layout
    tokens: TokenFile
    catalogue: Catalogue
    lanes: Lanes
    sessions: Sessions
    captures: Captures
    torrents: TorrentService
    events: EventHub
    telling: Telling
    failures: FailureLog
    manifests: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MANIFESTS_AT_ONCE))
    """Bound on uploaded manifests held in memory; further ones wait unread."""
    large_manifests: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Of the large ones, each held several times while it is signed, one at a time."""
    connections_refused: int = 0
    """Connections closed at once because there were too many."""
    strangers_displaced: int = 0
    """Connections that had shown no token, closed to make room for others."""
    stopping: bool = False

    async def watch(self) -> None:
        """End what nobody uses any more and tell of images that came and went, for ever."""
        known = await self.catalogue.refs()
        while True:
            await asyncio.sleep(TICK_S)
            self.sessions.expire()
            await self.captures.expire()
            self.torrents.tick()
            try:
                now_there = await self.catalogue.refs()
            except OgcastError as error:  # a disk that stumbles must not end the daemon
                self.telling.tell("error", error=type(error).__name__, message=str(error))
                continue
            for ref in sorted(now_there - known, key=str):
                self.telling.tell("image_added", image=str(ref))
            for ref in sorted(known - now_there, key=str):
                self.telling.tell("image_gone", image=str(ref))
            known = now_there

    async def wind_down(self) -> None:
        """Accept nothing new, give running sessions their grace, then tell and close the rest."""
        self.stopping = self.sessions.stopping = self.captures.stopping = True
        self.telling.tell("stopping", sessions=len(self.sessions.table), captures=len(self.captures.table))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.limits.grace_s):
                while len(self.sessions.table) or len(self.captures.table):
                    self.telling.happened.clear()
                    await self.telling.happened.wait()
        self.sessions.close_all("the repository is stopping")
        await self.captures.close_all("the repository is stopping")
        await self.lanes.stop()
        self.events.end()


def build_daemon(layout: Layout, repository: Repository, settings: Settings) -> Daemon:
    """Wire the parts; nothing is started. Raises RepositoryError if keys or tokens are unusable."""
    events = EventHub(subscribers=settings.limits.event_subscribers, queue=settings.limits.event_queue)
    telling = Telling(events)
    catalogue = Catalogue(repository)
    tokens = TokenFile(layout.tokens)
    tokens.all()

    def on_transport_event(transport: str, name: str, fields: Mapping[str, Any]) -> None:
        if name in ("lane_opened", "lane_closed") and "session" in fields:
            session_id = SessionId(str(fields["session"]))
            sessions.handle_lane(session_id, opened=name == "lane_opened")
            captures.handle_lane(session_id, opened=name == "lane_opened")
        telling.tell_mapping(name, {**fields, "transport": transport})

    lanes = Lanes(specs().values(), on_event=on_transport_event)
    limits = settings.limits
    sessions = Sessions(
        catalogue,
        lanes,
        SessionTable(limit=limits.sessions, per_address=limits.sessions_per_address, idle_s=limits.session_idle_s),
        telling,
        clock=time.monotonic,
    )
    captures = Captures(
        catalogue,
        lanes,
        CaptureTable(limit=limits.captures, hold_s=limits.capture_hold_s),
        telling,
        layout.load_trusted_signing_key() if layout.signs else None,
        settings,
        clock=time.monotonic,
    )
    return Daemon(
        settings=settings,
        layout=layout,
        tokens=tokens,
        catalogue=catalogue,
        lanes=lanes,
        sessions=sessions,
        captures=captures,
        torrents=TorrentService(Publications(layout), catalogue, telling, settings.torrents, clock=time.monotonic),
        events=events,
        telling=telling,
        failures=FailureLog(),
    )
