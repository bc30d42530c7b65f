"""The lanes of a swarm around its machine: what it asks goes out, what comes back is told it or handed on."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping

from core.arena import Arena, Slot
from core.errors import ProtocolError
from core.ids import ChunkIndex
from core.wantmap import WantMap
from transports.base import Delivery
from transports.member.proto.maps import unpack_wants
from transports.p2p.neighbourhood import Neighbourhood
from transports.p2p.proto.messages import Failed, Lost, Need, SwarmMessage
from transports.p2p.proto.swarm import ORIGIN, Swarm
from transports.p2p.source_lane import SourceLane
from transports.p2p.traffic import Traffic, source_name
from transports.unicast.proto.answers import Gone, Held, News, Received, Refused, Returned, Turn

__all__ = ["ASKED_BYTES", "ASKED_MIN", "Exchange"]

ASKED_BYTES = 48 << 20
"""What is asked for at a time, whatever memory there is: more than three chunks of a neighbour fill no link better."""
ASKED_MIN = 8
"""Requests that may be under way however large chunks are."""


class Exchange:
    """`begin` before anything else, `close` last; one loop. Whoever changes the machine calls `change` afterwards.

    Deliveries in `ready` belong to whoever takes them out; `close` releases the rest.
    """

    def __init__(
        self,
        *,
        swarm: Swarm,
        want: WantMap,
        arena: Arena,
        traffic: Traffic,
        send: Callable[[SwarmMessage], None],
        on_change: Callable[[], None],
    ) -> None:
        """`send` tells repod; `on_change` is called when there may be a delivery, or nothing more to wait for."""
        self._swarm = swarm
        self._want = want
        self._arena = arena
        self._asked_max = max(ASKED_MIN, ASKED_BYTES // arena.slot_bytes)
        self._traffic = traffic
        self._send = send
        self._on_change = on_change
        self._neighbours: Neighbourhood | None = None
        self._loop = asyncio.get_running_loop()
        self._seen: Counter[int] = Counter()
        self._closed = False
        self._pumping = False
        """The machine's turn comes soon."""
        self._changed = True
        """The want-map may have changed since the machine looked."""
        self._sparing: set[SourceLane] = set()
        """Lanes that may have a slot to spare."""
        self.ready: deque[Delivery] = deque()
        self.duplicate_bytes = 0
        """Of chunks that came when nobody needed them any more."""

    def begin(self, neighbours: Neighbourhood) -> None:
        """Whose lanes these are."""
        self._neighbours = neighbours

    async def close(self) -> None:
        """End all lanes; every slot that no delivery outside holds goes back."""
        self._closed = True
        if self._neighbours is not None:
            await self._neighbours.close()
        while self.ready:
            self.ready.popleft().release()

    # ------------------------------------------------------------------ lanes

    def handle_step(self, lane: SourceLane) -> None:
        """Something happened on a lane."""
        swarm, machine, source = self._swarm, lane.machine, lane.source
        if self._closed:
            return
        now = self._loop.time()
        if machine.opened and not lane.opened:
            lane.opened = True
            assert self._neighbours is not None
            swarm.handle_source(source, now, bridge=self._neighbours.is_bridge(source))
            if source != ORIGIN:
                lane.ask_map()
        if lane.opened:
            swarm.requests.handle_waiting(source, machine.waiting > 0)
            if machine.arriving is not None:
                swarm.handle_begun(source, machine.arriving)
            try:
                self._drain(lane, now)
            except ProtocolError as error:
                lane.handle_violation(error)
        if lane.failed is not None or lane.closed:
            self._seen.pop(source, None)
            if lane.opened:
                swarm.handle_source_gone(source, now)
            if not lane.closed:
                lane.close()
        self._on_change()
        self._pump_soon()

    def _drain(self, lane: SourceLane, now: float) -> None:
        swarm, source = self._swarm, lane.source
        assert self._neighbours is not None
        while (event := lane.poll_event()) is not None:
            match event:
                case Received():
                    self._receive(source, event, now)
                case Refused():
                    swarm.handle_refused(source, event.chunk, now)
                    self._sparing.add(lane)
                case Returned():
                    swarm.handle_returned(source, event.chunk)
                    self._sparing.add(lane)
                case Held():
                    swarm.handle_map(source, unpack_wants(event.packed, self._want.count))
                    self._neighbours.handle_told(source, now)
                case News():
                    swarm.handle_news(source, event.chunks)
                case Gone():
                    swarm.handle_gone(source, event.chunks)
                case Turn():
                    swarm.turns.handle_come(source)

    def _receive(self, source: int, event: Received, now: float) -> None:
        slot = event.slot
        if not self._swarm.handle_arrived(source, event.chunk, now):
            self.duplicate_bytes += event.length
            slot.release()
            return
        assert self._neighbours is not None
        self._traffic.note(source, event.length, near=self._neighbours.is_near(source))
        self.ready.append(
            Delivery(
                chunk=ChunkIndex(event.chunk),
                encoding=event.encoding,
                frame=slot.view[: event.length],
                source=source_name(source),
                release=self._releaser(slot.release),
            )
        )

    def _releaser(self, release: Callable[[], None]) -> Callable[[], None]:
        def give_back() -> None:
            release()
            self._pump_soon()  # the slot pays for another chunk

        return give_back

    # ------------------------------------------------------------------ the machine

    def handle_timer(self, now: float) -> None:
        """Call about ten times a second."""
        assert self._neighbours is not None
        self._sparing.update(self._neighbours.lanes.values())
        for source, lane in self._neighbours.lanes.items():
            signs = lane.signs
            self._swarm.requests.handle_bytes(source, signs - self._seen[source])
            self._seen[source] = signs
        self._swarm.handle_timer(now, unheard=self._neighbours.is_unheard(now))
        if len(self._want):
            self._neighbours.give_up_unheard(now, quiet_s=self._swarm.requests.quiet_s)
        self.change()

    def change(self) -> None:
        """The want-map or the machine changed."""
        if not self._closed:
            self._changed = True
            self._on_change()
            self._pump_soon()

    def _pump_soon(self) -> None:
        """Each chunk is told of by every neighbour that gets it: what comes at once is thought about once."""
        if not self._pumping and not self._closed:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Let the machine speak."""
        self._pumping = False
        if self._closed or self._neighbours is None:
            return
        lanes = self._neighbours.lanes
        now = self._loop.time()
        if self._changed:
            self._changed = False
            self._swarm.handle_change()
        spoken = self._take_back(lanes)
        while (asking := self._swarm.poll_ask(now, self._room())) is not None:
            lanes[asking.source].ask(asking.chunk, self._slot())
            spoken.add(asking.source)
        while (peer := self._swarm.turns.poll_pass()) is not None:
            lanes[peer].pass_turn()
            spoken.add(peer)
        while (peer := self._swarm.poll_turn(now, self._room())) is not None:
            lanes[peer].ask_turn()
            spoken.add(peer)
        for source in spoken | self._take_back(lanes):
            lanes[source].flush()
        if needs := self._swarm.poll_needs():
            self._send(Need(chunks=tuple(needs)))
        if failed := self._swarm.poll_failed():
            self._send(Failed(chunks=tuple(failed), reason="not taken"))
        while (slow := self._swarm.poll_slow()) is not None:
            self._send(Lost(peer=slow, reason="promised chunks and did not send them"))
        self._on_change()

    def _take_back(self, lanes: Mapping[int, SourceLane]) -> set[int]:
        """Requests that nobody needs, and memory that no request needs. Returns who is to be told."""
        told: set[int] = set()
        while (cancel := self._swarm.poll_cancel()) is not None:
            if (lane := lanes.get(cancel.source)) is not None:
                lane.cancel(cancel.chunk)
                told.add(cancel.source)
        while self._sparing:
            machine = self._sparing.pop().machine
            while (slot := machine.take_slot()) is not None:
                slot.release()
        return told

    def _room(self) -> int:
        """Slots for what may be asked now. Fewer than there are, so that the same ones are used again and again: memory
        that nobody touched before costs more than what it brings."""
        return min(self._arena.free, self._asked_max - self._swarm.requests.count)

    def _slot(self) -> Slot:
        slot = self._arena.try_acquire()
        assert slot is not None
        return slot
