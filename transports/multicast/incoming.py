"""One membership of a cast, as the session sees it: deliveries, and a reason in words when they stop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from core.arena import Arena
from core.errors import (
    ChunkError,
    ConnectionFailedError,
    LocalError,
    OgcastError,
    PathError,
    ProtocolError,
    TransferError,
)
from core.ids import ChunkIndex
from core.wantmap import WantMap
from transports.base import Delivery, Outlook
from transports.member.proto.maps import pack_wants
from transports.multicast.authenticator import PacketAuthenticator
from transports.multicast.evidence import gather
from transports.multicast.lacking import Lacking
from transports.multicast.lane import MemberLane
from transports.multicast.offer import CastOffer
from transports.multicast.patience import Patience
from transports.multicast.proto.diagnosis import diagnose
from transports.multicast.proto.lane import (
    Again,
    Closing,
    Damaged,
    Done,
    Join,
    Joined,
    LaneChange,
    Leave,
    Probed,
    Waiting,
    Without,
)
from transports.multicast.proto.membership import Membership, Step
from transports.multicast.proto.reception import Reception
from transports.multicast.receiver import Arrived, CastReceiver
from transports.multicast.standing import Standing
from transports.multicast.udp.incoming import GroupReceiver
from transports.multicast.wants import flags_of_chunks
from transports.multicast.watch import Watch

__all__ = ["MulticastIncoming"]

TICK_S = 0.1
HEALTH_EVERY_S = 2.0
REST_S = 20.0
"""A member asked to go on by other means may come back after so long."""
SOURCE = "multicast"


class MulticastIncoming:
    """An `Incoming`. Everything runs on the session's loop; `begin` first, `close` last."""

    def __init__(
        self,
        *,
        offer: CastOffer,
        lane: MemberLane,
        reception: Reception,
        membership: Membership,
        listened: bool,
        socket: GroupReceiver,
        authenticator: PacketAuthenticator,
        interface: str,
        want: WantMap,
        arena: Arena,
        on_event: Callable[[str, Mapping[str, Any]], None],
        multicast_before: int,
    ) -> None:
        self._offer = offer
        self._lane = lane
        self._reception = reception
        """Its figures are read here; everything else goes through the receiver's mailbox."""
        self._receiver = CastReceiver(
            reception,
            socket=socket,
            report_to=(offer.source, offer.report_port),
            authenticator=authenticator,
            symbol_bytes=offer.symbol_bytes,
            loop=asyncio.get_running_loop(),
            on_chunk=self.handle_chunk,
            on_alarm=lambda alarm: None,  # the membership has its own patience, and the lane says why a cast ends
            on_trouble=self.handle_trouble,
        )
        self._standing = Standing(reception, self._receiver, time.monotonic())
        self._watch = Watch(self._receiver, reception)
        self._interface = interface
        self._listened = listened
        self._arena = arena
        self._on_event = on_event
        self._multicast_before = multicast_before
        self._lacking = Lacking(want)
        self._ready: deque[Delivery] = deque()
        self._failed: OgcastError | None = None
        self._news = asyncio.Event()
        self._left = False
        self._tasks: list[asyncio.Task[None]] = []
        self._membership = membership
        self._patience: Patience | None = None
        self._patient = False
        self._health_at = 0.0
        self._waiting = ""
        self._waiting_news: object = None

    def begin(self) -> None:
        """Join: from now on things arrive."""
        if not len(self._lacking):
            return
        while slot := self._arena.try_acquire():  # before the first packet: what listened early has many
            self._receiver.give_slot(slot)
        self._receiver.start()
        self._lane.send(Join(wanted=pack_wants(self._lacking.flags), listened=self._listened))
        self._tasks = [
            asyncio.create_task(work) for work in (self._feed_slots(), self._hear_lane(), self._look_after())
        ]
        for task in self._tasks:
            task.add_done_callback(self._task_ended)

    def state(self) -> dict[str, Any]:
        """How it arrives."""
        offer = self._offer
        return {"cast": offer.cast, "group": offer.group, **self._standing.state(), "waiting": self._waiting}

    # ------------------------------------------------------------------ Incoming

    def __aiter__(self) -> MulticastIncoming:
        return self

    async def __anext__(self) -> Delivery:
        while True:
            if self._ready:
                return self._ready.popleft()
            if self._failed is not None:
                raise self._failed
            self._follow()
            if self._left or self._lacking.settled:
                self._finish()
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()

    def accept(self, delivery: Delivery) -> None:
        """See Incoming."""
        if self._lacking.accept(delivery.chunk):
            self._forget(delivery.chunk)
        if not self._lacking.open:  # else this is not the end, and whoever waits would look in vain
            self._news.set()

    def reject(self, delivery: Delivery, reason: str) -> None:
        """See Incoming."""
        chunk = delivery.chunk
        if self._lacking.reject(chunk):
            self._fail(
                PathError(
                    f"chunk {chunk} as it comes over the group is not the image: {reason}",
                    hint="somebody here forges packets, or the repository's disk is damaged (`repod verify`)",
                )
            )
        self._receiver.tell(lambda reception: reception.handle_rejected(chunk))
        self._news.set()

    async def close(self) -> None:
        """Leave the cast and the group; every slot that no delivery holds goes back."""
        self._left = True
        self._news.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self._lane.broken and self._failed is not None:
            self._lane.send(Leave(reason=str(self._failed)[:512]))
        elif not self._lane.broken and self._tasks:
            self._lacking.follow()
            if self._lacking.settled and not self._lacking.lost:
                self._lane.send(Done())
        for slot in await asyncio.to_thread(self._receiver.stop):
            slot.release()
        if self._tasks:
            self._on_event("multicast-ended", self.state())
        while self._ready:
            self._ready.popleft().release()
        await self._lane.close()

    # ------------------------------------------------------------------ the receiver's side

    def handle_chunk(self, arrived: Arrived) -> None:
        """A chunk is all there."""
        chunk = arrived.chunk
        if self._left or not self._lacking.hand_over(chunk, proven=arrived.proven):
            arrived.slot.release()
            if chunk not in self._lacking.open:
                self._forget(chunk)
            self._news.set()
            return
        self._standing.handle_bytes(arrived.stored_bytes)
        self._membership.handle_chunk(time.monotonic())
        self._ready.append(
            Delivery(
                chunk=ChunkIndex(chunk),
                encoding=arrived.encoding,
                frame=arrived.slot.view[: arrived.stored_bytes],
                source=SOURCE,
                release=arrived.slot.release,
                prepare=arrived.mend,
            )
        )
        self._news.set()

    def handle_trouble(self, error: LocalError) -> None:
        """The group cannot be joined again, or the thread ended."""
        if not self._receiver.running:
            self._fail(PathError(str(error), hint=error.hint))
        else:
            self._on_event("notice", {"message": f"multicast: {error}"})

    # ------------------------------------------------------------------ tasks

    async def _feed_slots(self) -> None:
        """Give the receiver every slot that nobody else holds."""
        while True:
            slot = await self._arena.acquire()
            if self._left:
                slot.release()
                return
            self._receiver.give_slot(slot)

    async def _hear_lane(self) -> None:
        while True:
            message = await self._lane.receive()
            match message:
                case None:
                    self._fail(ConnectionFailedError("the repository closed the member lane"))
                    return
                case Closing():
                    said = f"the repository ended the cast: {message.reason}"
                    self._fail(ConnectionFailedError(said) if message.retry else TransferError(said))
                    return
                case Joined():
                    self._waiting = ""
                    self._membership.handle_joined(time.monotonic(), probes=message.probes)
                case Waiting():
                    self._hear_waiting(message)
                case LaneChange():
                    self._hear_change(message)
                case Damaged() if message.chunk < len(self._lacking.flags):
                    if self._lacking.lose(message.chunk, message.reason):
                        self._forget(message.chunk)
                        self._news.set()
                case _:
                    raise ProtocolError(f"the repository sent a {type(message).__name__} that makes no sense")

    def _hear_waiting(self, message: Waiting) -> None:
        self._membership.handle_waiting(time.monotonic())
        self._waiting = message.text
        if message.news != self._waiting_news:
            self._waiting_news = message.news
            self._on_event("waiting", {"transport": SOURCE, "message": f"the cast has not begun: {self._waiting}"})

    def _hear_change(self, message: LaneChange) -> None:
        if message.lane == "unicast":
            self._fail(PathError(f"this client is taken out of the cast: {message.reason}", again_after_s=REST_S))
        else:
            late = message.lane == "late"
            self._membership.handle_lane(late=late)
            self._patience = (self._patience or Patience(self._arena.slot_bytes)) if late else None
            self._look_for_memory()
            self._on_event("notice", {"message": f"multicast, lane {message.lane}: {message.reason}"})

    async def _look_after(self) -> None:
        """The clock of the membership: verdicts, silence, signs of life."""
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self._follow()
            await self._watch.look(self._arena)
            self._look_for_memory()
            reception = self._reception
            status = reception.status
            step = self._membership.poll(
                now,
                packets=reception.tracker.received,
                span=reception.tracker.span,
                figures=reception.figures,
                lacking=len(self._lacking),
                sender_idle=status is not None and status.chunks_wanted == 0,
            )
            if step is not None:
                await self._act(step)
            if now >= self._health_at:
                self._health_at = now + HEALTH_EVERY_S
                self._tell_health(now)

    def _tell_health(self, now: float) -> None:
        health = self._standing.health(now, missing=len(self._lacking), arena=self._arena)
        self._lane.send(health)
        self._receiver.tell(lambda reception: reception.handle_rate(health.write_bytes_per_s))

    def _look_for_memory(self) -> None:
        """Who is served last keeps what has holes in until then, as far as the machine has room."""
        free, patience = self._reception.free_slots, self._patience
        for slot in () if patience is None else patience.poll(free=free):
            self._receiver.give_slot(slot)
        patient = patience is not None and patience.lasts(free=free)
        if patient != self._patient:
            self._patient = patient
            self._receiver.tell(lambda reception: reception.handle_patience(patient))

    async def _act(self, step: Step) -> None:
        reason, hint = step.reason, ""
        if step.verdict is not None:
            if step.fatal:
                reason, hint = await asyncio.to_thread(self._diagnose)
            verdict = Probed(
                outcome=step.verdict,
                received=self._reception.figures.probes,
                sent=self._membership.probes,
                loss=step.loss,
                reason=reason[:512],
            )
            self._lane.send(verdict)
            self._on_event("multicast-probe", {"outcome": step.verdict, "loss": step.loss, "message": reason})
            if step.fatal:
                self._fail(PathError(f"multicast does not arrive: {reason}", hint=hint))
        elif step.fatal:
            self._fail(PathError(reason, again_after_s=step.again_after_s))

    def _diagnose(self) -> tuple[str, str]:
        offer = self._offer
        reason = diagnose(
            gather(
                interface=self._interface,
                group=offer.group,
                source=offer.source,
                source_specific=offer.source_specific,
                ttl=offer.ttl,
                probes_sent=self._membership.probes,
                probes_received=self._reception.figures.probes,
                multicast_before=self._multicast_before,
                forged=self._receiver.intake.counters.forged,
            )
        )
        return reason.text, reason.hint

    # ------------------------------------------------------------------ inside

    def _follow(self) -> None:
        """The want-map changed: chunks came another way, or are left to others, or to this path."""
        (gone, new), count = self._lacking.follow(), len(self._lacking.flags)
        if gone:
            self._forget(*gone)
            self._lane.send(Without(chunks=pack_wants(flags_of_chunks(gone, count))))
        if new:
            self._lane.send(Again(chunks=pack_wants(flags_of_chunks(new, count))))
            self._receiver.tell_of(new, Reception.handle_wanted)
        if gone or new:
            self._news.set()

    def outlook(self) -> Outlook:
        """See Steerable."""
        return self._watch.outlook(self._lacking)

    def _forget(self, *chunks: int) -> None:
        """Nothing of these is wanted over this path any more."""
        self._receiver.tell_of(chunks, Reception.handle_accepted)

    def _finish(self) -> None:
        """Everything that can come has come, unless more is left to this path later."""
        if lost := self._lacking.lost:
            chunk, reason = next(iter(lost.items()))
            raise ChunkError(f"chunk {chunk} cannot be had: {reason}", hint="run `repod verify` at the repository")

    def _fail(self, error: OgcastError) -> None:
        if self._failed is None:
            self._failed = error
        self._news.set()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, OgcastError):
            self._fail(error)
        else:
            with contextlib.suppress(Exception):
                self._on_event("warning", {"message": f"a fault of this program in multicast: {error!r}"})
            self._fail(PathError(f"a fault of this program: {error!r}", hint="please report it"))
