"""The repository as a source: a control session, the offers it makes, and the lanes that are opened on them.

Transports are found through the registry by what an offer names; nothing here knows any of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from client.control import ControlClient
from client.early import EarlySession
from client.proto.brake import Brake
from client.proto.paths import PathPolicy
from client.proto.picker import Facts, Way
from client.proto.steering import FLOOD_LOSS, FLOOD_REST_S, Steering
from client.sources.blend import Blend
from client.sources.failures import Failures
from core.arena import Arena
from core.errors import ConnectionFailedError, NotFoundError, OgcastError, TransferError
from core.hostname import host_name
from core.ids import ChunkIndex, SessionId
from core.link import Link, link_of, link_towards
from core.netif import check_usable
from core.wantmap import WantMap
from images.manifest import Manifest
from images.stores import ChunkReader, Encoding
from transports import registry
from transports.base import ClientContext, ClientTransport, Incoming, Offer, Seeding, Sharing
from transports.control import OfferBody, RoomInfo, SessionOpened, SessionReport, SessionRequest
from transports.methods import parse_method
from transports.written import WrittenFrames

__all__ = ["RemoteSource"]

ANSWERS_WITHIN_S = 2.0
GOODBYE_S = 5.0
"""For the last words to the repository; without them the session expires."""
QUIET_S = 2.0
"""Before the first report of a session that was opened early: where many start on few cores, everything else is more
urgent."""
ALONE_S = 5.0
ALONE_EVERY_S = 0.5
"""Who has the choice and began alone looks so long, so often, whether others come: a room is rarely switched on by
halves, and what one takes alone meanwhile the others' sending lacks."""


class RemoteSource:
    """Opens a session when first asked, again when the repository forgot it, and reports where this client stands."""

    label = "repository"
    supply = Brake.NETWORK

    def __init__(
        self,
        control: ControlClient,
        *,
        method: str,
        options: str,
        fallback: bool = True,
        cached: bool = False,
        interface: str | None,
        repository_host: str,
        state_dir: Path | None,
        on_event: Callable[[str, Mapping[str, Any]], None],
        early: EarlySession | None = None,
        cache: ChunkReader | None = None,
        written: WrittenFrames | None = None,
    ) -> None:
        """`cached`: the image goes into the CACHE. Without `fallback` only the method's own transport is taken.

        `cache` and `written` are what transports that share may give from; they stay open as long as this is used.
        UsageError if there is no such interface, it is down, or it has no address: no transport could go on without it.
        """
        if interface is not None:
            check_usable(interface, repository_host)
        self._control = control
        self._early = early
        self._method = method
        self._options = options
        self._context = ClientContext(
            repository_host=repository_host,
            interface=interface,
            state_dir=state_dir,
            on_event=self._handle_event,
            take_early=lambda transport: None if early is None else early.take_listening(transport),
            cache=cache,
            written=written,
            alone=not (fallback or parse_method(method).chooses),
            lingers=True,
        )
        self._on_event = on_event
        self._session: SessionOpened | None = None
        self._over: SessionOpened | None = None
        """One that a lane says is over: the repository may still count it."""
        self._room = RoomInfo()
        self._cached = cached
        self._link: Link | None = None
        self._transports: dict[str, ClientTransport] = {}
        self._sharing: list[Sharing] = []
        """Those of them that pass chunks on: to look that up costs more than to tell them of a chunk."""
        parsed = parse_method(method)
        self._auto = parsed.chooses
        first = "" if self._auto else registry.by_protocol(parsed.protocol).name
        self._paths = PathPolicy(first=first, fallback=fallback or self._auto)
        self._failures = Failures(self._paths, on_event=on_event, on_session_over=self._forget_session)
        self._steering: Steering | None = None
        self._current: str | None = None
        self._roles: dict[str, str] = {}
        self._picked = ("", "")
        self._quiet_until = 0.0
        self._led: set[str] = set()
        """Transports that were not only there to stand by another. Those to come are in it before they are made."""
        self._gave_bytes = 0
        self._began = time.monotonic()
        self._draw = random.random()
        self._heard = ""
        """A group that was listened to before this was asked for anything."""
        self.duplicate_chunks = 0
        """Chunks that lanes received in vain and did not deliver."""
        self.duplicate_bytes = 0

    @property
    def path(self) -> str:
        """The transport in use, or used last; empty before the first. Beside a group there may be others."""
        return self._current or ""

    @property
    def picked(self) -> str:
        """Why that one, where this client had the choice."""
        return self._picked[1]

    @property
    def givers(self) -> Sequence[Seeding]:
        """The transports used that can go on giving when this session is over.

        Where peers only stood by a group, there is no need for that unless one of them asked for something.
        """
        if not self._gave_bytes and not any(isinstance(self._transports.get(name), Sharing) for name in self._led):
            return []
        return [transport for transport in self._transports.values() if isinstance(transport, Seeding)]

    def verified(self, chunk: ChunkIndex, frame: memoryview, encoding: Encoding) -> None:
        """A chunk of the session is good, whoever brought it: transports that share may pass it on."""
        if self._steering is not None and not self._steering.gives:
            return
        for transport in self._sharing:
            transport.verified(chunk, frame, encoding)

    @asynccontextmanager
    async def fetch(self, *, manifest: Manifest, want: WantMap, arena: Arena) -> AsyncIterator[Incoming]:
        """See Source. Opens, closes and changes lanes as `client.proto.steering` decides."""
        session = await self._opened(manifest, want)
        offers = {offer.transport: offer for offer in session.offers if registry.knows(offer.transport)}
        ways = [_way(name) for name in offers]
        if self._paths.poll_choice(list(offers), time.monotonic()) is None:
            raise self._failures.nothing_left(session)
        if self._auto and self._link is None:
            self._link = await self._find_link()
        self._steering = Steering(
            want,
            ways=ways,
            paths=self._paths,
            facts=self._facts(),
            auto=self._auto,
            now=time.monotonic(),
            draw=self._draw,
            heard=self._heard,
        )
        self._heard = ""
        blend = self._blend(session, offers, self._steering, manifest, want, arena)
        before = len(want)
        try:
            await blend.start()
            yield blend
        except ConnectionFailedError as error:
            if len(want) == before:
                await self._look_past(error, list(offers), manifest)
            raise
        finally:
            self._steering = None
            await blend.close()
            if len(want) < before:
                self._failures.handle_progress()

    async def report(self, report: SessionReport) -> float:
        """Report, and return seconds until the next report is due. A repository that does not answer is no error."""
        session = self._session
        if session is None:
            return 1.0
        if time.monotonic() < self._quiet_until:
            return self._quiet_until - time.monotonic()
        try:
            advice = await self._control.report(session.session, report)
            self._room = advice.room
            if self._steering is not None:
                self._steering.facts = self._facts()
        except NotFoundError:
            if self._session is session:
                self._session = None
        except OgcastError as error:
            self._on_event("report-failed", {"message": str(error)})
        every_s = max(0.5, min(session.report_every_s, 30.0))
        alone = self._auto and self._room.sessions <= 1 and time.monotonic() < self._began + ALONE_S
        return min(every_s, ALONE_EVERY_S) if alone else every_s

    async def close(self, report: SessionReport | None) -> None:
        """Leave what is shared, then end the session by its last `report`, if there is one; an unreachable repository
        lets it expire."""
        sharing = [transport for transport in self._transports.values() if isinstance(transport, Sharing)]
        await asyncio.gather(*(transport.leave() for transport in sharing))
        session = self._session or self._over
        self._session = self._over = None
        if session is None:
            return
        with contextlib.suppress(OgcastError, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                if report is not None:  # one of a transfer that is over: one answer to wait for, not two
                    await self._control.report(session.session, report)
                else:
                    await self._control.close_session(session.session)

    # ------------------------------------------------------------------ inside

    def _blend(
        self,
        session: SessionOpened,
        offers: Mapping[str, OfferBody],
        steering: Steering,
        manifest: Manifest,
        want: WantMap,
        arena: Arena,
    ) -> Blend:
        """The lanes of a session, none of them open yet."""

        def open_lane(name: str, share: WantMap, part: Arena) -> AbstractAsyncContextManager[Incoming]:
            return self._transport(name).fetch(
                Offer(transport=name, parameters=offers[name].parameters),
                session_id=SessionId(session.session),
                key=session.key,
                manifest=manifest,
                want=share,
                arena=part,
            )

        return Blend(
            steering,
            arena=arena,
            fetch=open_lane,
            on_failure=lambda lane, alone: self._failures.judge(
                lane.name,
                lane.failure,
                alone=alone,
                helps=lane.name == steering.helper,
                opened=lane.opened,
                offered=list(offers),
            ),
            on_event=self._on_event,
            on_steered=lambda: self._tell(session, steering, len(want)),
            want=want,
        )

    async def _look_past(self, error: ConnectionFailedError, offered: Sequence[str], manifest: Manifest) -> None:
        """Nothing came. Where the repository answers, it is only the lane that does not work: another may."""
        name = self._failures.failed
        if name and await self._answers(manifest):
            others = [other for other in offered if other != name]
            able = self._paths.poll_choice(others, time.monotonic()) is not None
            self._failures.handle_unreachable(name, error, others=able)

    async def _opened(self, manifest: Manifest, want: WantMap) -> SessionOpened:
        if self._session is not None:
            return self._session
        if self._early is not None:
            early, self._early = self._early, None
            self._session = await asyncio.to_thread(
                early.take,
                root=manifest.root,
                method=self._method,
                options=self._options,
                want=len(want),
                chunks=manifest.chunk_count,
            )
            if self._session is not None:
                self._control.keep(early.take_line())
                self._quiet_until = time.monotonic() + QUIET_S
                self._heard = early.heard if self._auto else ""
            self._leave_jammed(early.jammed)
        if self._session is None:
            await self._end_over()
            self._session = await self._control.open_session(
                SessionRequest(
                    image=str(manifest.ref),
                    method=self._method,
                    options=self._options,
                    host=host_name(),
                    want=len(want),
                )
            )
            if self._session.image.root != manifest.root.hex():
                await self.close(None)
                raise TransferError(
                    f"the repository now serves another {manifest.ref} than the one that was checked",
                    hint="the repository was replaced meanwhile; run the command again",
                )
        self._room = self._session.room  # of one that goes on, reports have told since
        return self._session

    def _leave_jammed(self, jammed: Mapping[str, float]) -> None:
        """What was seen to fill the link is not tried again soon, if there is anything else."""
        offered = () if self._session is None else (offer.transport for offer in self._session.offers)
        others = [name for name in offered if registry.knows(name) and name not in jammed]
        now = time.monotonic()
        for name, loss in jammed.items():
            if loss >= FLOOD_LOSS and any(self._paths.is_able(other, now) for other in others):
                reason = f"{loss:.0%} of it is lost on the way: this client's link is slower"
                self._paths.handle_rest(name, now, FLOOD_REST_S, reason)
                self._on_event("transport-resting", {"transport": name, "message": reason})

    async def _answers(self, manifest: Manifest) -> bool:
        """Whether the repository is there, so that it is only a lane that does not work."""
        with contextlib.suppress(OgcastError, TimeoutError):
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await self._control.image(manifest.ref, patient=False)
                return True
        return False

    def _forget_session(self) -> None:
        """A repository that was restarted, or is stopping, has ended our session, or a transport its part in it: open
        another."""
        self._over, self._session = self._session or self._over, None

    async def _end_over(self) -> None:
        """Before the next is opened: its room would count this client twice. Where it is gone nothing is lost."""
        over, self._over = self._over, None
        if over is not None:
            with contextlib.suppress(OgcastError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self._control.close_session(over.session)

    async def _find_link(self) -> Link:
        name, host = self._context.interface, self._context.repository_host
        found = await asyncio.to_thread(link_of, name) if name else await asyncio.to_thread(link_towards, host)
        return found or Link(name="")

    def _facts(self) -> Facts:
        link = self._link or Link(name="")
        return Facts(
            sessions=self._room.sessions,
            near=self._room.near,
            others=self._room.others,
            link_bytes_per_s=link.bytes_per_s,
            wireless=link.wireless,
            cached=self._cached,
        )

    def _transport(self, name: str) -> ClientTransport:
        if name not in self._transports:
            made = self._transports[name] = registry.load_client(registry.by_name(name))(self._context)
            if isinstance(made, Sharing):
                self._sharing.append(made)
        return self._transports[name]

    def _tell(self, session: SessionOpened, steering: Steering, lacking: int) -> None:
        """Tell what changed: the choice, the transport in use, the lanes."""
        choice, path = steering.choice, steering.path
        if self._auto and choice is not None and (choice.name, choice.reason) != self._picked:
            changed, self._picked = choice.name != self._picked[0], (choice.name, choice.reason)
            if changed:
                room = {"sessions": steering.facts.sessions, "near": steering.facts.near}
                self._on_event("picked", {"transport": choice.name, "message": choice.reason, **room})
        self._led.update(name for name, role in steering.roles.items() if role != "helps")
        if path is not None and path != self._current:
            before, self._current = self._current, path
            why = session.refusals.get(self._paths.first, "") if before is None else ""
            self._on_event(
                "transport", {"transport": path, "before": before or "", "chunks_lacking": lacking, "message": why}
            )
        if steering.roles != self._roles:
            self._roles = steering.roles
            if len(self._roles) > 1:
                self._on_event("lanes", {"lanes": self._roles, "chunks_lacking": lacking})

    def _handle_event(self, name: str, fields: Mapping[str, Any]) -> None:
        if name == "shared":
            self._gave_bytes += fields["bytes_given"]
            self.duplicate_chunks += fields["duplicates"]
            self.duplicate_bytes += fields["duplicate_bytes"]
        self._on_event(name, fields)


def _way(name: str) -> Way:
    able = registry.by_name(name).capabilities
    return Way(name=name, group=able.shared_send, peers=able.needs_peers)
