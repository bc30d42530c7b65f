"""A room of peers in virtual time: the machines of the asking and the serving side over fluid links.

Repod's part is as simple as can be: every peer that lives is assigned the next chunks, a few ahead.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from bench.simnet.clock import Clock
from core.wantmap import WantMap
from tests.helpers.fluid import Fluid
from transports.p2p.proto.limits import ASSIGNED_AHEAD
from transports.p2p.proto.slots import UploadSlots
from transports.p2p.proto.swarm import ORIGIN, Swarm

__all__ = ["SwarmPeer", "SwarmRoom"]

CHUNK_BYTES = 4 << 20
LATENCY_S = 0.0003
VERIFY_S = 0.02
TICK_S = 0.1
SLOTS = 15


class SwarmPeer:
    """One client: its machines and what it holds."""

    def __init__(self, room: SwarmRoom, number: int, *, seed: int) -> None:
        self.number = number
        self.want = WantMap(room.chunks)
        self.free = SLOTS
        self.held: set[int] = set()
        self.uploads = UploadSlots()
        self.queues: dict[int, deque[int]] = {}
        self.sending: set[int] = set()
        self.assigned: set[int] = set()
        self.arrived: list[int] = []
        """Sources of the chunks that were good, in order."""
        self.brought = 0
        """Assignments it was given."""
        self.joined = False
        self.alive = True
        self.done_at: float | None = None
        self.lies: Callable[[int], bool] = lambda chunk: False
        """Whether a chunk it sends is wrong."""
        self.silent = False
        """It promises and never sends."""
        self.swarm = Swarm(
            self.want,
            seed=random.Random(seed * 1000 + number).getrandbits(32),
            window=256,
            slots=SLOTS,
            rng=random.Random(seed * 1000 + number),
            now=0.0,
        )


class SwarmRoom:
    """`run` until everybody is done. Peers join at 0 unless `starts` says otherwise."""

    def __init__(
        self,
        peers: int,
        chunks: int,
        *,
        seed: int,
        link: float = 25e6,
        starts: list[float] | None = None,
        slow: dict[int, float] | None = None,
        streams: int = 10,
    ) -> None:
        """`link` is every node's rate in bytes a second, `slow` the exceptions."""
        self.chunks = chunks
        self.clock = Clock()
        self.link = link
        rates = slow or {}
        rate: Callable[[int], float] = lambda node: rates.get(node, link)  # noqa: E731
        self.fluid = Fluid(self.clock, up=rate, down=rate)
        self.peers = [SwarmPeer(self, number, seed=seed) for number in range(peers)]
        self.streams = streams
        self.repod = True
        self.origin_sent = 0
        self.bans: list[tuple[int, int]] = []
        """(who, whom)."""
        self._pool = deque(range(chunks))
        self._origin_queues: dict[int, deque[int]] = {}
        self._origin_sending: set[int] = set()
        for number in range(peers):
            self.clock.at(starts[number] if starts else 0.0, lambda number=number: self._join(number))  # type: ignore[misc]

    def limit_s(self) -> float:
        """What one link needs for the image."""
        return self.chunks * CHUNK_BYTES / self.link

    def run(self, *, until: float = 600.0) -> None:
        """Until everybody that lives has everything."""
        self.clock.run(until=until, stop=lambda: all(peer.done_at is not None or not peer.alive for peer in self.peers))

    def kill(self, number: int) -> None:
        """A peer goes without a word."""
        peer = self.peers[number]
        peer.alive = False
        self.fluid.drop(number)
        self._pool.extendleft(sorted(peer.assigned, reverse=True))
        for other in self._living():
            other.swarm.handle_source_gone(number, self.clock.now)
            other.free = SLOTS - other.swarm.under_way - len(other.swarm.in_hand)
            self._pump(other)
        self._assign()

    def kill_repod(self) -> None:
        """Tracker and origin are gone."""
        self.repod = False
        self.fluid.drop(ORIGIN)
        for peer in self._living():
            peer.assigned.clear()
            peer.swarm.handle_repod(reachable=False)
            peer.swarm.handle_source_gone(ORIGIN, self.clock.now)
            peer.free = SLOTS - peer.swarm.under_way - len(peer.swarm.in_hand)
            self._pump(peer)

    # ------------------------------------------------------------------ repod

    def _living(self) -> list[SwarmPeer]:
        return [peer for peer in self.peers if peer.joined and peer.alive]

    def _join(self, number: int) -> None:
        peer, now = self.peers[number], self.clock.now
        peer.joined = True
        if self.repod:
            peer.swarm.handle_source(ORIGIN, now)
        for other in self._living():
            if other is not peer:
                for asking, asked in ((peer, other), (other, peer)):
                    asking.swarm.handle_source(asked.number, now)
                    asking.swarm.handle_news(asked.number, sorted(asked.held))
                    asked.uploads.join(asking.number)
        self._assign()
        self._tick(peer)

    def _assign(self) -> None:
        while self._pool and self.repod:
            able = [peer for peer in self._living() if peer.done_at is None and len(peer.assigned) < ASSIGNED_AHEAD]
            if sum(bool(peer.assigned) for peer in self._living()) >= self.streams:
                able = [peer for peer in able if peer.assigned]
            if not able:
                return
            peer = min(able, key=lambda peer: (len(peer.assigned), peer.brought, peer.number))
            chunk = self._pool.popleft()
            peer.assigned.add(chunk)
            peer.brought += 1
            self._later(peer, lambda peer=peer, chunk=chunk: peer.swarm.handle_assigned([chunk], self.clock.now))  # type: ignore[misc]

    # ------------------------------------------------------------------ one peer

    def _later(self, peer: SwarmPeer, act: Callable[[], object], delay: float = LATENCY_S) -> None:
        def call() -> None:
            if peer.alive:
                act()
                self._pump(peer)

        self.clock.at(self.clock.now + delay, call)

    def _tick(self, peer: SwarmPeer) -> None:
        if peer.alive and peer.done_at is None:
            peer.swarm.handle_timer(self.clock.now)
            self._pump(peer)
            self.clock.at(self.clock.now + TICK_S, lambda: self._tick(peer))

    def _pump(self, peer: SwarmPeer) -> None:
        swarm, now = peer.swarm, self.clock.now
        self._take_back(peer)
        while (asking := swarm.poll_ask(now, peer.free)) is not None:
            peer.free -= 1
            self.clock.at(now + LATENCY_S, lambda ask=asking: self._asked(ask.source, peer, ask.chunk))  # type: ignore[misc]
        self._take_back(peer)
        if needs := swarm.poll_needs():
            given = {chunk for other in self._living() for chunk in other.assigned}
            self._pool.extend(chunk for chunk in needs if self.repod and chunk not in given and chunk not in self._pool)
            self.clock.at(now + LATENCY_S, self._assign)
        for chunk in swarm.poll_failed():
            peer.assigned.discard(chunk)
            if chunk in peer.want:
                self._pool.append(chunk)
                self.clock.at(now + LATENCY_S, self._assign)

    def _take_back(self, peer: SwarmPeer) -> None:
        while (cancel := peer.swarm.poll_cancel()) is not None:
            self.clock.at(
                self.clock.now + LATENCY_S,
                lambda cancel=cancel: self._cancelled(cancel.source, peer, cancel.chunk),  # type: ignore[misc]
            )

    def _queue(self, source: int, peer: SwarmPeer) -> deque[int]:
        queues = self._origin_queues if source == ORIGIN else self.peers[source].queues
        return queues.setdefault(peer.number, deque())

    def _asked(self, source: int, peer: SwarmPeer, chunk: int) -> None:
        self._queue(source, peer).append(chunk)
        self._serve(source, peer)

    def _cancelled(self, source: int, peer: SwarmPeer, chunk: int) -> None:
        queue = self._queue(source, peer)
        if chunk in queue:
            queue.remove(chunk)

            def back() -> None:
                peer.free += 1
                peer.swarm.handle_returned(source, chunk)

            self._later(peer, back)

    def _serve(self, source: int, peer: SwarmPeer) -> None:
        """Send the next chunk `source` owes `peer`, when it may."""
        queue = self._queue(source, peer)
        server = None if source == ORIGIN else self.peers[source]
        sending = self._origin_sending if server is None else server.sending
        if peer.number in sending or not peer.alive:
            return
        if server is None:
            if not queue or not self.repod:
                return
        elif server.silent or not server.alive:
            return
        elif not queue:
            server.uploads.leave(peer.number, self.clock.now)
            self._wake(server)
            return
        elif not server.uploads.ask(peer.number, self.clock.now):
            self._wake(server)
            return
        else:
            server.uploads.spend(peer.number, CHUNK_BYTES, self.clock.now)
        chunk = queue.popleft()
        sending.add(peer.number)
        self._later(peer, lambda: peer.swarm.handle_begun(source, chunk))

        def done() -> None:
            sending.discard(peer.number)
            self._later(peer, lambda: self._arrived(source, peer, chunk))
            self._serve(source, peer)

        self.fluid.send(source, peer.number, CHUNK_BYTES, done)
        if server is not None:
            self._wake(server)

    def _wake(self, server: SwarmPeer) -> None:
        while (number := server.uploads.poll_granted()) is not None:
            self._serve(server.number, self.peers[number])

    def _arrived(self, source: int, peer: SwarmPeer, chunk: int) -> None:
        if source == ORIGIN:
            self.origin_sent += 1
        peer.swarm.requests.handle_bytes(source, CHUNK_BYTES)
        if not peer.swarm.handle_arrived(source, chunk, self.clock.now):
            peer.free += 1
        elif source != ORIGIN and self.peers[source].lies(chunk):
            self._later(peer, lambda: self._rejected(source, peer, chunk), VERIFY_S)
        else:
            self._later(peer, lambda: self._verified(source, peer, chunk), VERIFY_S)

    def _rejected(self, source: int, peer: SwarmPeer, chunk: int) -> None:
        peer.free += 1
        if peer.swarm.reject(chunk, source, "wrong"):
            self.bans.append((peer.number, source))
            peer.swarm.handle_source_gone(source, self.clock.now)
            peer.free = SLOTS - peer.swarm.under_way - len(peer.swarm.in_hand)

    def _verified(self, source: int, peer: SwarmPeer, chunk: int) -> None:
        peer.free += 1
        peer.want.discard(chunk)
        peer.swarm.accept(chunk)
        peer.held.add(chunk)
        peer.assigned.discard(chunk)
        peer.arrived.append(source)
        for other in self._living():
            if other is not peer and other.done_at is None:
                self._later(other, lambda other=other: other.swarm.handle_news(peer.number, [chunk]))  # type: ignore[misc]
        if not len(peer.want) and peer.done_at is None:
            peer.done_at = self.clock.now
        self._assign()
