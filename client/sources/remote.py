"""The repository as a source: a control session, the offers it makes, and the transports they name.

Offers are taken in the order the repository makes them (the method's own transport first). Transports are found
through the registry by what the offer names; nothing here knows any of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from client.control import ControlClient
from client.early import EarlySession
from client.proto.paths import PathPolicy
from core.arena import Arena
from core.errors import (
    AuthenticationError,
    ConnectionFailedError,
    NotFoundError,
    OgcastError,
    PathError,
    ProtocolError,
    TransferError,
)
from core.ids import ChunkIndex, SessionId
from core.wantmap import WantMap
from images.manifest import Manifest
from images.stores import ChunkReader, Encoding
from transports import registry
from transports.base import ClientContext, ClientTransport, Delivery, Incoming, Offer, Seeding, Sharing
from transports.control import OfferBody, SessionOpened, SessionReport, SessionRequest
from transports.methods import parse_method

__all__ = ["RemoteSource"]

ANSWERS_WITHIN_S = 2.0
LANE_REST_S = 10.0
"""A lane that cannot be reached while the repository answers is tried again after so long."""
REFUSALS_MAX = 3
"""Sessions in a row that a transport may end without one chunk before it is given up."""


class RemoteSource:
    """Opens a session when first asked, again when the repository forgot it, and reports where this client stands."""

    label = "repository"

    def __init__(
        self,
        control: ControlClient,
        *,
        method: str,
        options: str,
        fallback: bool = True,
        interface: str | None,
        repository_host: str,
        state_dir: Path | None,
        on_event: Callable[[str, Mapping[str, Any]], None],
        early: EarlySession | None = None,
        cache: ChunkReader | None = None,
    ) -> None:
        """`cache` is what transports that share may give from; it stays open as long as this is used."""
        self._control = control
        self._early = early
        self._method = method
        self._options = options
        self._context = ClientContext(
            repository_host=repository_host,
            interface=interface,
            state_dir=state_dir,
            on_event=on_event,
            take_early=lambda transport: None if early is None else early.take_listening(transport),
            cache=cache,
            lingers=True,
        )
        self._on_event = on_event
        self._session: SessionOpened | None = None
        self._transports: dict[str, ClientTransport] = {}
        self._paths = PathPolicy(first=registry.by_protocol(parse_method(method).protocol).name, fallback=fallback)
        self._current: str | None = None
        self._refusals = 0

    @property
    def path(self) -> str:
        """The transport in use, or used last; empty before the first."""
        return self._current or ""

    @property
    def path_state(self) -> Mapping[str, Any]:
        """What the transport in use says about itself, for the repository's operator."""
        transport = self._transports.get(self._current or "")
        state = getattr(transport, "state", None)
        return state() if callable(state) else {}

    @property
    def givers(self) -> Sequence[Seeding]:
        """The transports used that can go on giving when this session is over."""
        return [transport for transport in self._transports.values() if isinstance(transport, Seeding)]

    def verified(self, chunk: ChunkIndex, frame: memoryview, encoding: Encoding) -> None:
        """A chunk of the session is good, whoever brought it: transports that share may pass it on."""
        for transport in self._transports.values():
            if isinstance(transport, Sharing):
                transport.verified(chunk, frame, encoding)

    @asynccontextmanager
    async def fetch(self, *, manifest: Manifest, want: WantMap, arena: Arena) -> AsyncIterator[Incoming]:
        """See Source. Every entry takes the best offer that was not given up."""
        session = await self._opened(manifest, want)
        offer = self._choose(session, lacking=len(want))
        lane = self._transport(offer).fetch(
            Offer(transport=offer.transport, parameters=offer.parameters),
            session_id=SessionId(session.session),
            key=session.key,
            manifest=manifest,
            want=want,
            arena=arena,
        )
        offered = [other.transport for other in session.offers]

        def leaves() -> bool:
            return self._paths.poll_return(offer.transport, offered, time.monotonic(), len(want))

        before = len(want)
        try:
            async with lane as incoming:
                yield _Leaving(incoming, leaves)
        except PathError as error:
            self._handle_path_error(offer.transport, error)
            if self._paths.poll_choice(self._known(session), time.monotonic()) is None:
                raise
            raise ConnectionFailedError(f"{offer.transport}: {error}", hint=error.hint) from error
        except (AuthenticationError, TransferError) as error:
            # a repository that was restarted, or is stopping, has ended our session: open another
            self._session = None
            self._refusals += 1
            if self._refusals > REFUSALS_MAX:
                self._give_up(offer.transport, error)
            raise ConnectionFailedError(str(error), hint=error.hint) from error
        except ConnectionFailedError as error:
            others = [name for name in self._known(session) if name != offer.transport]
            if (
                len(want) == before
                and self._paths.poll_choice(others, time.monotonic())
                and await self._answers(manifest)
            ):
                self._handle_path_error(offer.transport, PathError(str(error), again_after_s=LANE_REST_S))
            raise
        except ProtocolError as error:
            self._give_up(offer.transport, error)
            raise ConnectionFailedError(f"{offer.transport} ended: {error}", hint=error.hint) from error
        finally:
            if len(want) < before:
                self._refusals = 0

    async def report(self, report: SessionReport) -> float:
        """Report, and return seconds until the next report is due. A repository that does not answer is no error."""
        session = self._session
        if session is None:
            return 1.0
        try:
            await self._control.report(session.session, report)
        except NotFoundError:
            if self._session is session:
                self._session = None
        except OgcastError as error:
            self._on_event("report-failed", {"message": str(error)})
        return max(0.5, min(session.report_every_s, 30.0))

    async def close(self, report: SessionReport | None) -> None:
        """Leave what is shared, send the last report and end the session; an unreachable repository lets it expire."""
        for transport in self._transports.values():
            if isinstance(transport, Sharing):
                await transport.leave()
        session, self._session = self._session, None
        if session is None:
            return
        with contextlib.suppress(OgcastError, TimeoutError):
            async with asyncio.timeout(5):
                if report is not None:
                    await self._control.report(session.session, report)
                await self._control.close_session(session.session)

    async def _opened(self, manifest: Manifest, want: WantMap) -> SessionOpened:
        if self._session is None and self._early is not None:
            early, self._early = self._early, None
            self._session = await asyncio.to_thread(
                early.take,
                root=manifest.root,
                method=self._method,
                options=self._options,
                want=len(want),
                chunks=manifest.chunk_count,
            )
        if self._session is None:
            self._session = await self._control.open_session(
                SessionRequest(
                    image=str(manifest.ref),
                    method=self._method,
                    options=self._options,
                    host=socket.gethostname()[:256],
                    want=len(want),
                )
            )
            if self._session.image.root != manifest.root.hex():
                await self.close(None)
                raise TransferError(
                    f"the repository now serves another {manifest.ref} than the one that was checked",
                    hint="the repository was replaced meanwhile; run the command again",
                )
        return self._session

    async def _answers(self, manifest: Manifest) -> bool:
        """Whether the repository is there, so that it is only a lane that does not work."""
        with contextlib.suppress(OgcastError, TimeoutError):
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await self._control.image(manifest.ref, patient=False)
                return True
        return False

    def _known(self, session: SessionOpened) -> list[str]:
        return [offer.transport for offer in session.offers if registry.knows(offer.transport)]

    def _choose(self, session: SessionOpened, *, lacking: int) -> OfferBody:
        chosen = self._paths.poll_choice(self._known(session), time.monotonic())
        if chosen is not None:
            offer = next(offer for offer in session.offers if offer.transport == chosen)
            if chosen != self._current:
                self._tell_path(session, chosen, lacking)
            return offer
        offered = ", ".join(offer.transport for offer in session.offers) or "none"
        refused = "".join(f"; {name}: {why}" for name, why in session.refusals.items())
        tried = "".join(f"; gave up {name}: {why}" for name, why in self._paths.given_up.items())
        raise TransferError(
            f"no transport left for this image (offered: {offered}{refused}{tried})",
            hint=f"this ogcast knows {', '.join(sorted(registry.specs()))}",
        )

    def _tell_path(self, session: SessionOpened, chosen: str, lacking: int) -> None:
        before, self._current = self._current, chosen
        why = session.refusals.get(self._paths.first, "") if before is None else ""
        self._on_event(
            "transport", {"transport": chosen, "before": before or "", "chunks_lacking": lacking, "message": why}
        )

    def _transport(self, offer: OfferBody) -> ClientTransport:
        if offer.transport not in self._transports:
            spec = registry.by_name(offer.transport)
            self._transports[offer.transport] = registry.load_client(spec)(self._context)
        return self._transports[offer.transport]

    def _handle_path_error(self, transport: str, error: PathError) -> None:
        if error.again_after_s is None:
            self._give_up(transport, error)
        elif self._paths.handle_rest(transport, time.monotonic(), error.again_after_s, str(error)):
            self._on_event("transport-resting", {"transport": transport, "message": str(error)})

    def _give_up(self, transport: str, error: OgcastError) -> None:
        self._paths.handle_given_up(transport, str(error))
        self._on_event("transport-given-up", {"transport": transport, "message": str(error)})


class _Leaving:
    """An Incoming that ends early when a better transport may be used again."""

    def __init__(self, incoming: Incoming, leaves: Callable[[], bool]) -> None:
        self._incoming = incoming
        self._leaves = leaves
        self.accept = incoming.accept
        self.reject = incoming.reject

    def __aiter__(self) -> _Leaving:
        return self

    async def __anext__(self) -> Delivery:
        if self._leaves():
            raise StopAsyncIteration
        return await self._incoming.__anext__()
