"""The connections of one swarm: to the origin and to the neighbours repod names, made again when they break."""

from __future__ import annotations

import asyncio
import functools
import math
import socket
from collections.abc import Callable, Iterable

import msgspec

from core.errors import ConnectionFailedError, OgcastError, ProtocolError
from transports.p2p.faults import fault_of
from transports.p2p.proto.credentials import lane_name
from transports.p2p.proto.limits import MAX_NEIGHBOURS
from transports.p2p.proto.messages import PeerAddress
from transports.p2p.proto.requests import ORIGIN
from transports.p2p.source_lane import SourceLane
from transports.unicast.dial import dial
from transports.unicast.proto.asking import AskingLane

__all__ = ["Neighbourhood"]

TRIES_MAX = 3
"""Times in a row a neighbour is dialled in vain, or hangs up without having given a chunk, before it is given up, until
repod names it again. One that breaks the protocol is given up at once."""
UNHEARD_AFTER_S = 0.25
"""A neighbour in a LAN says within milliseconds what it holds, if its program runs."""
UNHEARD_MAX_S = 1.5
"""While nothing at all comes from anybody, a neighbour that has not said it by now is given up: repod may count on it,
and as long as it does, the repository gives nothing by itself."""
PAUSE_FIRST_S = 0.5
PAUSE_LONGEST_S = 8.0


class _Address(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    name: str
    """Session id of the handshake."""
    key: bytes


class Neighbourhood:
    """Lanes by source: the id of a neighbour, or ORIGIN."""

    def __init__(
        self,
        *,
        make: Callable[[int, str, bytes], AskingLane],
        on_step: Callable[[SourceLane], None],
        on_lost: Callable[[int, str], None],
        on_fault: Callable[[OgcastError], None],
        interface: str | None,
        asleep: bool = False,
    ) -> None:
        """`make` builds the machine of a lane from source, session id and key; `on_lost` tells of a neighbour that was
        given up, `on_fault` of a fault, after which a source is connected to no more. While `asleep` neighbours are
        noted, and connected to only after `wake`."""
        self._make = make
        self._on_step = on_step
        self._on_lost = on_lost
        self._on_fault = on_fault
        self._interface = interface
        self._known: dict[int, PeerAddress] = {}
        self._banned: set[int] = set()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._unheard: dict[int, float] = {}
        """Neighbours that have not said what they hold, and since when they are connected to."""
        self._told_at = -math.inf
        """When one of them said it last."""
        self._bridging = False
        self._asleep = asleep
        self._opened: tuple[socket.socket, AskingLane] | None = None
        self.me = 0
        """This client's own id."""
        self.lanes: dict[int, SourceLane] = {}
        """Lanes that are dialled, connected or open."""
        self.refused = 0
        """Neighbours beyond MAX_NEIGHBOURS."""

    def dial_origin(
        self, host: str, port: int, name: str, key: bytes, *, opened: tuple[socket.socket, AskingLane] | None = None
    ) -> None:
        """Connect to the origin, and again whenever that breaks; the first time go on with what is `opened`, if any:
        its machine has a slot for each chunk it asked for."""
        self._opened = opened
        self._keep(ORIGIN, _Address(host=host, port=port, name=name, key=key))

    @property
    def known(self) -> int:
        """Neighbours and bridges, connected or not."""
        return len(self._known)

    def is_bridge(self, source: int) -> bool:
        """Only to be asked while repod is out of reach."""
        peer = self._known.get(source)
        return peer is not None and peer.bridge

    def is_near(self, source: int) -> bool:
        """In the same subnet."""
        peer = self._known.get(source)
        return peer is not None and peer.same_subnet

    def handle_told(self, source: int, now: float) -> None:
        """It has said what it holds."""
        if self._unheard.pop(source, None) is not None:
            self._told_at = now

    def is_unheard(self, now: float) -> bool:
        """There is a neighbour that should have said by now what it holds."""
        return any(now >= since + UNHEARD_AFTER_S for since in self._unheard.values())

    def give_up_unheard(self, now: float, *, quiet_s: float) -> None:
        """No chunk has come from anybody for `quiet_s`: give up who keeps silent for too long. Not while others begin
        to speak: programs of a room that is switched on start one after the other, and each speaks up once."""
        if quiet_s < UNHEARD_MAX_S or now < self._told_at + UNHEARD_MAX_S:
            return
        for source in [source for source, since in self._unheard.items() if now >= since + UNHEARD_MAX_S]:
            self._stop(source)
            self._on_lost(source, f"it has not said for {UNHEARD_MAX_S:g} s what it holds")

    def meet(self, peers: Iterable[PeerAddress]) -> None:
        """Neighbours from now on."""
        for peer in peers:
            if peer.id in (self.me, ORIGIN) or peer.id in self._banned:
                continue
            if peer.id not in self._known and len(self._known) >= MAX_NEIGHBOURS:
                self.refused += 1
                continue
            before, self._known[peer.id] = self._known.get(peer.id), peer
            if before == peer and peer.id in self._tasks and not self._tasks[peer.id].done():
                continue
            if before is not None and before.credential == peer.credential and peer.id in self.lanes:
                continue
            if not peer.bridge or self._bridging:
                self._dial(peer)

    def wake(self) -> None:
        """Something is to be asked of neighbours: connect to those that are known. Harmless when repeated."""
        if self._asleep:
            self._asleep = False
            for peer in list(self._known.values()):
                if not peer.bridge or self._bridging:
                    self._dial(peer)

    def forget(self, ids: Iterable[int]) -> None:
        """Neighbours no more."""
        for source in ids:
            self._known.pop(source, None)
            self._stop(source)

    def ban(self, ids: Iterable[int]) -> None:
        """Never again."""
        banned = set(ids)
        self._banned |= banned
        self.forget(banned)

    def use_bridges(self, use: bool) -> None:
        """Repod is out of reach: connect to the bridges; or it is back."""
        if use == self._bridging:
            return
        self._bridging = use
        for peer in list(self._known.values()):
            if peer.bridge and use:
                self._dial(peer)
            elif peer.bridge:
                self._stop(peer.id)

    async def close(self) -> None:
        """End all connections."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._opened is not None:
            sock, machine = self._opened
            sock.close()
            machine.release_all()
        for lane in list(self.lanes.values()):
            lane.close()
        self.lanes.clear()

    # ------------------------------------------------------------------ inside

    def _dial(self, peer: PeerAddress) -> None:
        if self._asleep:
            return
        self._stop(peer.id)
        name = lane_name(self.me, far=not peer.same_subnet)
        address = _Address(host=peer.host, port=peer.port, name=name, key=peer.credential)
        self._unheard[peer.id] = asyncio.get_running_loop().time()
        self._keep(peer.id, address)

    def _keep(self, source: int, address: _Address) -> None:
        task = self._tasks[source] = asyncio.create_task(self._keep_up(source, address))
        task.add_done_callback(self._handle_ended)

    def _handle_ended(self, task: asyncio.Task[None]) -> None:
        if (fault := fault_of(task)) is not None:
            self._on_fault(fault)

    def _stop(self, source: int) -> None:
        self._unheard.pop(source, None)
        task = self._tasks.pop(source, None)
        if task is not None:
            task.cancel()
        lane = self.lanes.pop(source, None)
        if lane is not None:
            lane.close()
            self._on_step(lane)

    async def _keep_up(self, source: int, address: _Address) -> None:
        """One connection after the other."""
        failures = 0
        while True:
            sock, machine = self._begin(source, address)
            lane = self.lanes[source] = SourceLane(source, machine, self._on_step)
            try:
                if sock is not None:
                    await self._go_on(lane, sock)
                else:
                    await dial(address.host, address.port, functools.partial(_self, lane), interface=self._interface)
                await lane.ended.wait()
                reason = str(lane.failed or "it was closed")
            except OgcastError as error:
                reason = str(error)
            finally:
                lane.close()
                if self.lanes.get(source) is lane:
                    del self.lanes[source]
            failures = 0 if lane.chunks or (lane.opened and source == ORIGIN) else failures + 1
            if isinstance(lane.failed, ProtocolError):
                failures = TRIES_MAX
            if source != ORIGIN and failures >= TRIES_MAX:
                self._unheard.pop(source, None)
                self._on_lost(source, reason)
                return
            await asyncio.sleep(min(PAUSE_FIRST_S * 2**failures, PAUSE_LONGEST_S))

    def _begin(self, source: int, address: _Address) -> tuple[socket.socket | None, AskingLane]:
        if source == ORIGIN and self._opened is not None:
            opened, self._opened = self._opened, None
            return opened
        return None, self._make(source, address.name, address.key)

    async def _go_on(self, lane: SourceLane, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._on_step(lane)  # before anything is received: what was asked for ahead is not asked for again
        try:
            await asyncio.get_running_loop().create_connection(functools.partial(_self, lane), sock=sock)
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError):
                raise ConnectionFailedError(f"the connection to the origin broke: {error}") from error
            raise


def _self(lane: SourceLane) -> SourceLane:
    return lane
