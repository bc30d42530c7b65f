"""The transports of this daemon: starting them, making offers, hearing what they report."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from core.errors import BusyError, LocalError, OgcastError, UsageError
from core.ids import SessionId
from repod.settings import DEFAULT_PORT, Settings, check_tables
from transports.base import (
    CaptureGrant,
    Offer,
    Sample,
    Sampling,
    ServedSession,
    ServerContext,
    ServerTransport,
    TransportSpec,
)
from transports.control import OfferBody
from transports.registry import load_server

__all__ = ["Lanes"]

LAST_SEND_S = 1.0
"""Time a transport gets to send its good-byes once all sessions are closed."""
EVENTS_PENDING_MAX = 1024
"""Events from transports' threads waiting for the loop; more are dropped and counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    spec: TransportSpec
    server: ServerTransport


class _Refused(Exception):
    """Carries a UsageError past those that only cost one offer."""

    def __init__(self, error: UsageError) -> None:
        super().__init__(str(error))
        self.error = error


class Lanes:
    """All transports that serve. Use on the event loop only; `on_event` is called there too."""

    def __init__(
        self, specs: Iterable[TransportSpec], *, on_event: Callable[[str, str, Mapping[str, Any]], None]
    ) -> None:
        self._specs = list(specs)
        self._on_event = on_event
        self._lanes: list[_Lane] = []
        self._counting = threading.Lock()
        self._pending = 0
        self.events_dropped = 0
        """Events of transports lost because the loop was behind."""

    async def start(self, settings: Settings, *, host: str, advertise: str | None, control_port: int) -> None:
        """Start every transport. Raises a LocalError if one cannot; then none runs."""
        check_tables(settings.transports, self._specs)
        try:
            for spec in self._specs:
                table = dict(settings.transports.get(spec.name, {}))
                if table.pop("enabled", True):
                    server = await self._start_one(
                        spec, table, settings, host=host, advertise=advertise, control_port=control_port
                    )
                    self._lanes.append(_Lane(spec=spec, server=server))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all of them; harmless when repeated."""
        lanes, self._lanes = self._lanes, []
        await asyncio.gather(*(lane.server.stop(grace_s=LAST_SEND_S) for lane in lanes))

    def open_session(self, session: ServedSession, *, first: str | None) -> tuple[list[OfferBody], dict[str, str]]:
        """Offers of `first`, then of those that mend what it loses, then of those to fall back to; and who refused,
        with the reason. All offer where `first` is None.

        The session's option string is for `first` only: a mistake in it is a UsageError. BusyError if nobody offers.
        A client that chooses, and says that it listens, does so to what serves many by one sending.
        """
        able = [lane for lane in self._lanes if first is None or self._suits(lane, first)]
        plain = msgspec.structs.replace(session, options="", listening=False)

        def make(lane: _Lane) -> Offer:
            if first is None and lane.spec.capabilities.shared_send:
                return lane.server.open_session(session)
            if lane.spec.name != first:
                return lane.server.open_session(plain)
            try:
                return lane.server.open_session(session)
            except UsageError as error:
                raise _Refused(error) from error

        try:
            order = sorted(able, key=lambda lane: (lane.spec.name != first, lane.spec.capabilities.fallback))
            return self._offers(order, session.id, make)
        except _Refused as refused:
            raise refused.error from None

    def open_capture(self, grant: CaptureGrant) -> list[OfferBody]:
        """Offers of every transport that carries an upload."""
        able = [lane for lane in self._lanes if lane.spec.capabilities.captures]
        return self._offers(able, grant.id, lambda lane: lane.server.open_capture(grant))[0]

    def session_state(self, session_id: SessionId) -> dict[str, dict[str, Any]]:
        """What each transport says of a session, of those that say something."""
        states = {lane.spec.name: dict(lane.server.session_state(session_id)) for lane in self._lanes}
        return {name: state for name, state in states.items() if state}

    def close(self, session_id: SessionId, reason: str) -> None:
        """End a session or capture on every transport."""
        for lane in self._lanes:
            lane.server.close_session(session_id, reason)

    def counters(self) -> dict[str, Mapping[str, float]]:
        """Running totals by transport."""
        return {lane.spec.name: lane.server.counters() for lane in self._lanes}

    def samples(self) -> list[tuple[str, Sample]]:
        """Figures with labels, each with its transport."""
        return [
            (lane.spec.name, sample)
            for lane in self._lanes
            if isinstance(lane.server, Sampling)
            for sample in lane.server.samples()
        ]

    def ports(self) -> dict[str, int]:
        """The port each transport listens on, where it has one."""
        found = {lane.spec.name: getattr(lane.server, "port", None) for lane in self._lanes}
        return {name: port for name, port in found.items() if isinstance(port, int)}

    def _suits(self, lane: _Lane, first: str) -> bool:
        """A session that starts on `first` may need this one. Who is sent to in a group is mended by its peers."""
        if lane.spec.name == first or lane.spec.capabilities.fallback:
            return True
        own = next((other.spec.capabilities for other in self._lanes if other.spec.name == first), None)
        return own is not None and own.shared_send and lane.spec.capabilities.needs_peers

    def _offers(
        self, lanes: Iterable[_Lane], session_id: SessionId, make: Callable[[_Lane], Offer]
    ) -> tuple[list[OfferBody], dict[str, str]]:
        offers: list[OfferBody] = []
        refusals: list[OgcastError] = []
        reasons: dict[str, str] = {}
        for lane in lanes:
            try:
                offer = make(lane)
            except (OgcastError, OSError) as raised:
                error = raised if isinstance(raised, OgcastError) else OgcastError(f"{lane.spec.name}: {raised}")
                refusals.append(error)
                reasons[lane.spec.name] = str(error)
                self._on_event(lane.spec.name, "offer_refused", {"session": session_id, "reason": str(error)})
                continue
            offers.append(OfferBody(transport=offer.transport, parameters=dict(offer.parameters)))
        if not offers:
            raise refusals[0] if refusals else BusyError("no transport of this repository can do that")
        return offers, reasons

    def _listening(self) -> list[TransportSpec]:
        """Transports with a port, the ones that work everywhere first: their place in this list is their port's."""
        able = [spec for spec in self._specs if spec.capabilities.listens]
        return sorted(able, key=lambda spec: (not spec.capabilities.fallback, spec.name))

    async def _start_one(
        self,
        spec: TransportSpec,
        table: dict[str, Any],
        settings: Settings,
        *,
        host: str,
        advertise: str | None,
        control_port: int,
    ) -> ServerTransport:
        ports: list[int | None] = [None]
        if spec.capabilities.listens and "port" not in table:
            # Beside the control API, so that one firewall rule covers them. With a port chosen by flag the next one
            # may belong to somebody else: any will do then, the offer names it.
            offset = 1 + self._listening().index(spec)
            beside = control_port + offset if settings.port > 0 and control_port + offset < 65_536 else 0
            ports = [beside] if settings.port == DEFAULT_PORT else [beside, 0]
        build = load_server(spec)
        for attempt, port in enumerate(ports, 1):
            server = build(
                ServerContext(
                    host=host,
                    advertise=advertise,
                    interface=settings.interface or None,
                    settings=table if port is None else {**table, "port": port},
                    on_event=self._relay(spec.name),
                )
            )
            try:
                await server.start()
                return server
            except LocalError:
                await server.stop(grace_s=0)
                if attempt == len(ports):
                    raise
        raise AssertionError("unreachable")

    def _relay(self, transport: str) -> Callable[[str, Mapping[str, Any]], None]:
        """Bring events from a transport's threads to the loop, a bounded number at a time."""
        loop = asyncio.get_running_loop()

        def deliver(name: str, fields: Mapping[str, Any]) -> None:
            with self._counting:
                self._pending -= 1
            self._on_event(transport, name, fields)

        def relay(name: str, fields: Mapping[str, Any]) -> None:
            with self._counting:  # several threads tell: a count that went wrong would be wrong for ever
                if self._pending >= EVENTS_PENDING_MAX and not name.startswith("lane_"):
                    self.events_dropped += 1
                    return
                self._pending += 1
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(deliver, name, dict(fields))

        return relay
