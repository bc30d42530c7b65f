"""A swarm as the session sees it: deliveries, each from a peer that is named or from the repository."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.arena import Arena
from core.errors import ChunkError, ConnectionFailedError, OgcastError, PathError, ProtocolError, TransferError
from core.wantmap import WantMap
from transports.base import Delivery, Outlook
from transports.p2p.exchange import Exchange
from transports.p2p.faults import fault_of
from transports.p2p.membership import Membership
from transports.p2p.neighbourhood import Neighbourhood
from transports.p2p.peer_server import SHARED, PeerServer
from transports.p2p.proto.hope import IDLE_S, Hope, Outcome
from transports.p2p.proto.limits import MAX_LIST_CHUNKS
from transports.p2p.proto.messages import (
    Assign,
    BadChunk,
    Banned,
    Closing,
    Damaged,
    Done,
    Forget,
    Health,
    Lost,
    Meet,
    Release,
    Stop,
    SwarmMessage,
    Want,
    Welcome,
)
from transports.p2p.proto.swarm import Swarm
from transports.p2p.shelf import Shelf
from transports.p2p.source_lane import SourceLane
from transports.p2p.traffic import Traffic, digest_received, source_of

__all__ = ["SwarmIncoming"]

TICK_S = 0.1
ORIGIN_REST_S = 30.0
"""For so long a swarm that brought nothing is left alone."""
EXCLUDED_WAIT_S = 10.0
"""Who was banned takes another path after so long: the swarm it has held up comes first at the repository."""


class SwarmIncoming:
    """An `Incoming`, and the owner of a membership (MemberHost). `begin` first, `close` last; one loop."""

    def __init__(
        self,
        *,
        swarm: Swarm,
        shelf: Shelf,
        want: WantMap,
        arena: Arena,
        server: PeerServer | None,
        on_event: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._swarm = swarm
        self._shelf = shelf
        self._manifest = shelf.manifest
        self._want = want
        self._arena = arena
        self._server = server
        self._on_event = on_event
        self._membership: Membership | None = None
        self._neighbours: Neighbourhood | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._ticker: asyncio.Task[None] | None = None
        self._met = False
        """There were other peers, be it that they have left."""
        self._failed: OgcastError | None = None
        self._left = False
        self._traffic = Traffic(now=self._loop.time())
        self.origin_port = 0
        """Where the origin's lanes are, for messages."""
        self._exchange = Exchange(
            swarm=swarm, want=want, arena=arena, traffic=self._traffic, send=self._send, on_change=self._handle_change
        )
        self._seen = self.lacking()
        self.stands_by = not len(want)
        """It began with nothing to take: see SwarmClient."""
        self._hope = Hope(stands_by=self.stands_by, now=self._loop.time())
        self.stopped = ""
        """Why nobody needs this client's chunks any more, once repod said so."""
        self.banned = False
        """By repod: no membership of this client makes sense any more."""

    def begin(self, membership: Membership, neighbours: Neighbourhood) -> None:
        """Everything is connected: go on by itself from now on."""
        self._membership = membership
        self._neighbours = neighbours
        self._exchange.begin(neighbours)
        self._ticker = self._loop.create_task(self._tick())
        self._ticker.add_done_callback(self._handle_tick_ended)
        membership.begin()

    def state(self) -> dict[str, Any]:
        """How it goes, for events and reports."""
        figures = self._swarm.figures
        return {
            "neighbours": len(self._neighbours.lanes) if self._neighbours is not None else 0,
            "receivers": self._server.lanes if self._server is not None else 0,
            "held": self._shelf.count,
            "reachable": self._membership is not None and self._membership.reachable,
            "bytes_up": self._server.counts["bytes_sent"] if self._server is not None else 0,
            "banned": len(self._swarm.standing.banned),
            "rests": self._swarm.standing.rests,
            "duplicates": figures.duplicates,
            "expired": figures.expired,
            "moved": figures.moved,
            "needs": figures.needs,
        }

    # ------------------------------------------------------------------ Incoming

    def __aiter__(self) -> SwarmIncoming:
        return self

    async def __anext__(self) -> Delivery:
        self._exchange.change()
        while not self._exchange.ready:
            self._look_at_map()
            if self._failed is not None:
                raise self._failed
            if self._left:
                raise StopAsyncIteration
            if self._swarm.finished:
                self._finish()
                raise StopAsyncIteration
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._exchange.ready.popleft()

    def accept(self, delivery: Delivery) -> None:
        """See Incoming."""
        assigned = self._swarm.accept(delivery.chunk)
        if self._membership is not None:
            self._membership.note_have(delivery.chunk, at_once=assigned)
        self._exchange.change()

    def reject(self, delivery: Delivery, reason: str) -> None:
        """See Incoming. A neighbour that sent it is banned, and repod told with both digests."""
        source = source_of(delivery.source)
        if self._swarm.reject(delivery.chunk, source, reason):
            self._send(
                BadChunk(
                    peer=source,
                    chunk=delivery.chunk,
                    expected=self._manifest.digest(delivery.chunk),
                    got=digest_received(delivery, self._manifest.raw_length(delivery.chunk)),
                )
            )
            self._ban([source])
        self._exchange.change()

    @property
    def traffic(self) -> Traffic:
        """What came in this membership."""
        return self._traffic

    async def retire(self) -> None:
        """Ask nobody any more; every slot that no delivery holds goes back. The membership lasts."""
        self._left = True
        self._wake()
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        await self._exchange.close()
        counts: Mapping[str, int] = self._server.counts if self._server is not None else {}
        self._on_event(
            "shared",
            {
                **{field: counts.get(count, 0) for field, count in SHARED.items()},
                "duplicates": self._swarm.figures.duplicates,
                "duplicate_bytes": self._exchange.duplicate_bytes,
            },
        )

    async def close(self) -> None:
        """Leave the swarm."""
        await self.retire()
        if self._membership is not None:
            await self._membership.close(None if len(self._want) else Done())

    def _finish(self) -> None:
        if lost := self._swarm.lost:
            named = ", ".join(f"{chunk}: {reason}" for chunk, reason in list(lost.items())[:4])
            raise ChunkError(
                f"{len(lost)} chunk(s) cannot be had from the swarm; chunk {named}",
                hint="run `repod verify` at the repository; everything else has arrived",
            )

    def outlook(self) -> Outlook:
        """See Steerable."""
        holders = self._swarm.holders
        self._met = self._met or bool(holders.peers)
        held = frozenset(np.flatnonzero(holders.rarity).tolist()) if self.stands_by and self._met else None
        requests = self._swarm.requests
        begun = (chunk for chunk in requests.chunks() if any(each.begun for each in requests.of(chunk)))
        return Outlook(
            under_way=self._swarm.in_hand | frozenset(requests.chunks()),
            begun=self._swarm.in_hand | frozenset(begun),
            within_reach=held,
        )

    def handle_verified(self, chunk: int) -> None:
        """A chunk of the session is good, whoever brought it: repod learns that it can be had here."""
        if self._membership is not None and chunk not in self._swarm.in_hand and chunk not in self._want:
            self._membership.note_have(chunk)

    # ------------------------------------------------------------------ MemberHost

    def lacking(self) -> NDArray[np.bool_]:
        """See MemberHost."""
        bits = np.unpackbits(np.frombuffer(self._want.to_bytes(), dtype=np.uint8), bitorder="little")
        return bits[: self._want.count].astype(np.bool_)

    def health(self) -> Health:
        """See MemberHost."""
        return self._traffic.health(
            now=self._loop.time(),
            missing=len(self._want),
            sent=self._server.counts["bytes_sent"] if self._server is not None else 0,
            sent_far=self._server.bytes_far if self._server is not None else 0,
            duplicates=self._swarm.figures.duplicates,
            backlog=1 - self._arena.free / self._arena.slots,
            held=self._shelf.count,
            neighbours=len(self._neighbours.lanes) if self._neighbours is not None else 0,
        )

    def handle_message(self, message: SwarmMessage) -> None:
        """See MemberHost."""
        assert self._neighbours is not None
        chunks = self._want.count
        match message:
            case Welcome():
                self._neighbours.me = message.member
                if self._server is not None:
                    self._server.admit(message.listen_key)
                    self._server.set_slots(message.slots)
                self._swarm.picker.set_window(message.window)
            case Meet():
                self._neighbours.meet(message.peers)
            case Forget():
                self._neighbours.forget(message.ids)
            case Banned():
                if self._neighbours.me in message.ids:
                    self._handle_exclusion()
                self._ban(message.ids)
            case Assign() if max(message.chunks) < chunks:
                self._swarm.handle_assigned(message.chunks, self._loop.time())
            case Release() if max(message.chunks) < chunks:
                self._swarm.handle_released(message.chunks)
            case Damaged() if message.chunk < chunks:
                self._swarm.handle_damaged(message.chunk, message.reason)
            case Stop():
                self.stopped = message.reason or "nobody lacks anything"
            case Closing():
                if not message.retry and not self.banned:
                    self._fail(TransferError(f"the repository ended the session: {message.reason}"))
            case _:
                raise ProtocolError("the repository sent what only members send")
        self._exchange.change()

    def handle_reachable(self, reachable: bool) -> None:
        """See MemberHost."""
        assert self._neighbours is not None
        self._swarm.handle_repod(reachable)
        self._hope.handle_repod(reachable, self._loop.time())
        self._neighbours.use_bridges(not reachable)
        self._on_event("swarm-repository", {"reachable": reachable})
        self._exchange.change()

    # ------------------------------------------------------------------ lanes

    def handle_step(self, lane: SourceLane) -> None:
        """Something happened on a lane."""
        self._exchange.handle_step(lane)

    def handle_lost(self, source: int, reason: str) -> None:
        """A neighbour was given up."""
        self._send(Lost(peer=source, reason=reason[:512]))

    def handle_fault(self, fault: OgcastError) -> None:
        """A source is lost by a fault of this program: what it was asked for may never come from it."""
        self._fail(fault)

    def _ban(self, ids: list[int] | tuple[int, ...]) -> None:
        assert self._neighbours is not None
        for peer in ids:
            self._swarm.standing.ban(peer)
        self._neighbours.ban(ids)
        if self._server is not None:
            self._server.ban(ids)
        self._on_event("peers-banned", {"peers": list(ids)})

    # ------------------------------------------------------------------ between

    def _handle_change(self) -> None:
        if self._exchange.ready or self._failed is not None or self._swarm.finished:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _handle_exclusion(self) -> None:
        if not self.banned:
            self.banned = True
            error = PathError(
                "the swarm has excluded this client: several peers got wrong chunks from it",
                hint="its memory or disk may be failing; `repod sessions` names what was wrong",
            )
            self._loop.call_later(EXCLUDED_WAIT_S, self._fail, error)

    def _fail(self, error: OgcastError) -> None:
        self._failed = self._failed or error
        self._wake()

    def _send(self, message: SwarmMessage) -> None:
        if self._membership is not None:
            self._membership.send(message)

    def _look_at_map(self) -> None:
        """Chunks may have been left to this path, or given back to it."""
        before, self._seen = self._seen, self.lacking()
        new = np.flatnonzero(self._seen & ~before)
        if len(new):
            chunks = new.tolist()
            self._swarm.handle_wanted(chunks)
            if not self.stands_by:  # nothing of the repository for who stands by
                for start in range(0, len(chunks), MAX_LIST_CHUNKS):
                    self._send(Want(chunks=tuple(chunks[start : start + MAX_LIST_CHUNKS])))
            self._exchange.change()
            if self._neighbours is not None:
                self._neighbours.wake()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = self._loop.time()
            self._look_at_map()
            self._exchange.handle_timer(now)
            self._look_for_hope(now)

    def _handle_tick_ended(self, ticker: asyncio.Task[None]) -> None:
        """Without it nothing is missed any more, and nobody given up: the session would wait for ever."""
        if (fault := fault_of(ticker)) is not None:
            self._fail(fault)

    def _look_for_hope(self, now: float) -> None:
        if self._swarm.finished or self.banned:
            return
        assert self._membership is not None
        assert self._neighbours is not None
        refused = self._membership.refused
        outcome = self._hope.look(
            now,
            given=self._server.counts["bytes_sent"] if self._server is not None else 0,
            quiet_since=self._swarm.quiet_since,
            under_way=bool(self._swarm.under_way),
            in_hand=bool(self._swarm.in_hand),
            has_origin=self._swarm.has_origin,
            peers=self._neighbours.known > 0,
            refused=refused is not None,
        )
        if outcome is not Outcome.WAIT:
            self._fail(refused if outcome is Outcome.ALONE and refused is not None else self._given_up(outcome))

    def _given_up(self, outcome: Outcome) -> OgcastError:
        match outcome:
            case Outcome.IDLE:
                return PathError(
                    f"the swarm has brought nothing for {IDLE_S:g} s, and nobody was found to ask",
                    again_after_s=ORIGIN_REST_S,
                    hint="`repod sessions` shows who holds what is lacking",
                )
            case Outcome.CUT_OFF:
                return PathError(
                    f"chunks of the repository cannot be had: port {self.origin_port} does not answer, and peers have "
                    "nothing that is lacking",
                    again_after_s=ORIGIN_REST_S,
                    hint="is a firewall in between?",
                )
            case _:
                return ConnectionFailedError("the repository is out of reach, and no peer has what is lacking")
