"""Server half of multicast: casts made on demand, one for each image version, and the member lanes of all of them.

Lanes, seats and decisions about casts live on repod's loop, where little happens; each cast has a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import BusyError, LocalError, OgcastError, UsageError
from core.ids import SessionId
from transports.base import CaptureGrant, Offer, ServedSession, ServerContext
from transports.member.clock import Clock
from transports.member.door import Door
from transports.member.handshake import admit
from transports.member.listening import listen_for_lanes
from transports.member.proto.allowance import Allowance
from transports.member.proto.maps import unpack_wants
from transports.multicast.casting import Casting, Seat
from transports.multicast.lane import MemberLane
from transports.multicast.making import CastMaker
from transports.multicast.proto.demotion import Verdict
from transports.multicast.proto.groups import GroupRange
from transports.multicast.proto.lane import Again, Done, Health, Join, Leave, Probed, Without
from transports.multicast.proto.options import CastOptions, parse_options
from transports.multicast.proto.rate import share_budget
from transports.multicast.settings import MulticastSettings

__all__ = ["MulticastServer"]

TICK_S = 0.25
LANE_IDLE_S = 60.0
"""A member that says nothing on its lane for so long is gone; it says how it is every 2 s."""
MESSAGES_PER_S = 200.0
MESSAGES_AT_ONCE = 2000.0
"""What a member may say; who says more is heard later."""
CHUNKS_A_MESSAGE = 1 << 16
"""A map of so many, which is looked at in the sender's thread, costs as much as a message."""
STRANDED = "its interface was made anew, or has another address"


class MulticastServer:
    """A `ServerTransport`. Everything runs on repod's loop but the senders of casts."""

    def __init__(self, context: ServerContext) -> None:
        """Raises UsageError for settings that make no sense."""
        self._context = context
        self._settings = MulticastSettings.load(context.settings)
        self._random = random.SystemRandom()
        self._maker = CastMaker(context, self._settings, on_event=self._relay, rng=self._random)
        self._groups = GroupRange(self._settings.group_range, self._settings.ports, rng=self._random)
        self._casts: dict[bytes, Casting] = {}
        """By root of the image."""
        self._seats: dict[str, tuple[Casting, Seat]] = {}
        """By session."""
        self._listener: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._counts: Counter[str] = Counter()
        self._clock = Clock(self._tick, interval_s=TICK_S, counts=self._counts)
        self._door = Door(limit=2 * self._settings.max_members, counts=self._counts)
        self._closing: list[Casting] = []
        """Casts that are not done with saying goodbye."""
        self._ended: Counter[str] = Counter()
        self._epochs: Counter[bytes] = Counter()
        self._troubles: dict[bytes, str] = {}
        """Why the network takes no packets of a cast now, by root of the image."""
        self._port = 0

    # ------------------------------------------------------------------ repod's side

    @property
    def port(self) -> int:
        """The port of the member lanes. Call after `start`."""
        return self._port

    async def start(self) -> None:
        """See ServerTransport."""
        self._loop = asyncio.get_running_loop()
        self._listener = await listen_for_lanes(
            self._handle_connection, host=self._context.host, port=self._settings.port, transport="multicast"
        )
        self._port = int(self._listener.sockets[0].getsockname()[1])
        self._clock.start()

    async def stop(self, *, grace_s: float) -> None:
        """See ServerTransport."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.close()
        await self._clock.stop()
        casts, self._casts = list(self._casts.values()), {}
        self._closing += casts
        self._seats.clear()
        try:
            await asyncio.gather(*(self._end(casting, "the repository stops", retry=True) for casting in casts))
            await asyncio.gather(*self._ending)
        finally:
            await self._door.close()

    def open_session(self, session: ServedSession) -> Offer:
        """See ServerTransport."""
        options = parse_options(session.options)
        if len(self._seats) >= self._settings.max_members:
            self._counts["limit_max_members"] += 1
            raise BusyError(f"multicast has {self._settings.max_members} members, which is the limit")
        casting = self._casts.get(session.manifest.root)
        if casting is not None and not casting.sender.running:
            self._retire(session.manifest.root, "its thread ended")
            casting = None
        elif casting is not None and self._stranded(casting):
            self._retire(session.manifest.root, STRANDED)
            casting = None
        elif (
            casting is not None
            and not casting.seats
            and (
                options.of_cast != casting.options.of_cast
                or not (options.start or self._settings.start).at_once
                or not casting.gate.open
            )
        ):
            # It only lingers. Another room comes, whose start is to be waited for, and whose wishes are others; or the
            # one that was waited for has left, and nobody is to wait for it any more.
            self._retire(session.manifest.root, "another room begins")
            casting = None
        if casting is None:
            casting = self._casts[session.manifest.root] = self._make(session, options)
        seat = casting.seat(session, options)
        self._seats[session.id] = (casting, seat)
        offer = Offer(transport="multicast", parameters={**casting.offer(seat), "port": self._port})
        if session.listening:
            casting.expect(seat)
        return offer

    def close_session(self, session_id: SessionId, reason: str) -> None:
        """See ServerTransport."""
        casting, seat = self._seats.pop(session_id, (None, None))
        if casting is None or seat is None:
            return
        casting.seats.pop(session_id, None)
        if not casting.seats:
            casting.empty_since = time.monotonic()
        self._later(casting.dismiss(seat, reason, retry=False))

    def open_capture(self, grant: CaptureGrant) -> Offer:
        """See ServerTransport."""
        raise UsageError("multicast carries no captures")

    def session_state(self, session_id: SessionId) -> Mapping[str, Any]:
        """See ServerTransport."""
        casting, seat = self._seats.get(session_id, (None, None))
        if casting is None or seat is None:
            return {}
        trouble = self._troubles.get(seat.session.manifest.root)
        return {**casting.state(seat), **({"reason": trouble} if trouble else {})}

    def counters(self) -> Mapping[str, float]:
        """See ServerTransport."""
        totals: Counter[str] = Counter({"bytes_sent": 0, "chunks_sent": 0})
        totals.update(self._ended)
        totals.update(self._counts)
        for casting in [*self._casts.values(), *self._closing]:  # totals never go down, not for a moment
            totals.update(casting.totals())
        return {
            **totals,
            "clients": sum(len(casting.members) for casting in self._casts.values()),
            "casts": len(self._casts),
            "rate_bytes_per_s": sum(
                casting.cast.rate.rate_bytes_per_s for casting in self._casts.values() if casting.busy
            ),
        }

    # ------------------------------------------------------------------ casts

    def _make(self, session: ServedSession, options: CastOptions) -> Casting:
        """A cast of the session's image. Raises BusyError, or a LocalError that says why there can be none."""
        settings = self._settings
        if len(self._casts) >= settings.max_casts:
            self._counts["limit_max_casts"] += 1
            many = f"{settings.max_casts} at a time may be cast, and as many are"
            raise BusyError(f"no further image can be cast: {many}", hint="max_casts in repod.toml says how many")
        with _not_the_clients_fault():
            interface = self._maker.interface()
        if (wish := options.endpoint) is not None:
            settings.check_wish(wish.group)
        endpoint = self._groups.acquire(wish)
        root = session.manifest.root
        self._epochs[root] += 1
        used = {each.cast_id for each in self._casts.values()}
        try:
            with _not_the_clients_fault():
                casting = self._maker.make(session, options, interface, endpoint, used=used, epoch=self._epochs[root])
        except BaseException:
            self._groups.release(endpoint)
            raise
        self._counts["casts_made"] += 1
        return casting

    def _share_out(self) -> None:
        """Divide the common budget between the casts that send; one that rests gets its part at the next tick."""
        casts = list(self._casts.values())
        if not casts:
            return
        with contextlib.suppress(UsageError, OSError):  # the interface is gone: nothing is sent anyway
            budget = self._maker.budget_bytes_per_s(self._maker.interface())
            busy = [1.0 if casting.busy else 0.0 for casting in casts]
            shares = share_budget(budget, [casting.cap_bytes_per_s for casting in casts], busy)
            left = budget / max(1.0, sum(busy) + 1)
            for casting, share, active in zip(casts, shares, busy, strict=True):
                casting.share(share if active else min(casting.cap_bytes_per_s, left))

    def _retire(self, root: bytes, reason: str, *, retry: bool = True) -> None:
        casting = self._casts.pop(root)
        self._closing.append(casting)
        self._troubles.pop(root, None)
        self._groups.release(casting.endpoint)
        for session_id in casting.seats:
            self._seats.pop(session_id, None)
        self._later(self._end(casting, reason, retry=retry))

    async def _end(self, casting: Casting, reason: str, *, retry: bool) -> None:
        try:
            await casting.close(reason, retry=retry)
        finally:
            self._closing.remove(casting)
            self._ended.update(casting.totals())
        self._context.on_event("cast_ended", {"cast": casting.cast_id, "reason": reason})

    # ------------------------------------------------------------------ time

    async def _tick(self) -> None:
        for root, casting in list(self._casts.items()):
            if self._casts.get(root) is casting:  # it may be retired while others have their turn
                with self._clock.guarded(), contextlib.suppress(BusyError):  # a thread that has just ended
                    await self._look_after(root, casting)
        self._share_out()

    async def _look_after(self, root: bytes, casting: Casting) -> None:
        if not casting.seats and time.monotonic() - casting.empty_since >= self._settings.linger_s:
            self._retire(root, "nobody needs it any more")
        elif not casting.sender.running or casting.cast.exhausted:
            self._retire(root, "its numbers are used up" if casting.cast.exhausted else "its thread ended")
        elif self._stranded(casting):
            self._retire(root, STRANDED)
        else:
            await casting.tick()

    def _stranded(self, casting: Casting) -> bool:
        """Whether a cast cannot be sent through the interface it was made on, and another one could be made now.

        While it could not, the cast stays: its members find other ways, and the interface may come back as it was.
        """
        family = _family(casting.endpoint.group)
        if casting.interface.stands(family):
            return False
        try:
            interface = self._maker.interface()
            interface.check_up()
            interface.source(family)
        except UsageError:
            return False
        return True

    def _relay(self, root: bytes, cast_id: int, name: str, fields: Mapping[str, Any]) -> None:
        """Bring an event of a sender's thread to the loop."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._handle_sender, root, cast_id, name, fields)

    def _handle_sender(self, root: bytes, cast_id: int, name: str, fields: Mapping[str, Any]) -> None:
        """An event of a sender's thread, on the loop. Of a cast that was retired meanwhile it says nothing of the one
        that took its place, whose members have the same numbers."""
        if name == "chunk_unreadable" and fields["chunk"] < 0:
            return  # which chunk it is was told before
        casting = self._casts.get(root)
        if casting is None or casting.cast_id != cast_id:
            if name != "verdict":
                self._context.on_event(name, {**fields, "cast": cast_id})
            return
        if name == "verdict":
            casting.handle_verdict(Verdict(**fields))
            return
        if name == "sending_failed":
            self._troubles[root] = str(fields["reason"])
        elif name == "sending_again":
            self._troubles.pop(root, None)
        elif name == "chunk_unreadable":
            casting.handle_damaged(fields["chunk"], fields["reason"])
        self._context.on_event(name, {**fields, "cast": cast_id})

    def _later(self, work: Any) -> None:
        assert self._loop is not None
        task = self._loop.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    # ------------------------------------------------------------------ member lanes

    async def _handle_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        lane = MemberLane(reader, writer)
        try:
            if not self._door.enter(task):
                return
            casting, seat = await admit(reader, writer, find=self._find)
            self._door.handle_proven(task)
            self._counts["lanes_opened"] += 1
            await self._serve(lane, casting, seat)
        except (OgcastError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._counts["lanes_refused"] += 1
            self._context.on_event("lane_broken", {"peer": lane.peer, "reason": str(error) or type(error).__name__})
        except asyncio.CancelledError:
            pass  # the daemon stops, or a stranger makes room
        finally:
            self._door.leave(task)
            await lane.close()

    def _find(self, session_id: str) -> tuple[bytes, tuple[Casting, Seat]] | None:
        found = self._seats.get(session_id)
        return None if found is None else (found[1].session.key, found)

    async def _serve(self, lane: MemberLane, casting: Casting, seat: Seat) -> None:
        session_id = seat.session.id
        self._context.on_event("lane_opened", {"session": session_id, "peer": lane.peer})
        allowance = Allowance(rate=MESSAGES_PER_S, burst=MESSAGES_AT_ONCE, now=time.monotonic())
        reason = ""
        try:
            while True:
                async with asyncio.timeout(LANE_IDLE_S):
                    message = await lane.receive()
                if message is None:
                    return
                if isinstance(message, Leave):
                    reason = message.reason
                    return
                maps = isinstance(message, Join | Without | Again)
                cost = 1 + (seat.session.manifest.chunk_count / CHUNKS_A_MESSAGE if maps else 0)
                if (wait_s := allowance.spend(cost, time.monotonic())) > 0:
                    self._counts["limit_messages"] += 1
                    await asyncio.sleep(wait_s)
                await self._handle_message(lane, casting, seat, message)
        except TimeoutError:
            reason = f"silent for {LANE_IDLE_S:.0f} s"
        finally:
            casting.left(seat, lane, reason)
            self._context.on_event("lane_closed", {"session": session_id, "peer": lane.peer, "reason": reason})

    async def _handle_message(self, lane: MemberLane, casting: Casting, seat: Seat, message: object) -> None:
        chunks = seat.session.manifest.chunk_count
        match message:
            case Join():
                await casting.join(seat, lane, unpack_wants(message.wanted, chunks), listened=message.listened)
            case Without():
                casting.without(seat, unpack_wants(message.chunks, chunks))
            case Again():
                casting.again(seat, unpack_wants(message.chunks, chunks))
            case Probed():
                casting.probed(seat, message)
            case Health():
                seat.health = message
            case Done():
                casting.done(seat)
            case _:
                self._counts["violations"] += 1


@contextlib.contextmanager
def _not_the_clients_fault() -> Iterator[None]:
    """An interface of the repository that is unfit is no mistake of who asks: other transports may still be offered."""
    try:
        yield
    except UsageError as error:
        raise LocalError(str(error), hint=error.hint) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
