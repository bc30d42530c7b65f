"""A campus in virtual time: one repository, subnets behind links of their own, peers that come, go and die.

campus = Campus(chunks=64, subnets=2, seed=1)
campus.join(8, subnet=0)
campus.join(8, subnet=1, at=2.0, spread_s=1.0)
campus.kill(3, at=4.0)
outcome = campus.until_done()
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bench.simnet.clock import Clock
from bench.simnet.swarm.bound import fluid_bound_s
from bench.simnet.swarm.peer import PeerSettings, SimPeer
from bench.simnet.swarm.repod import SimRepod
from bench.simnet.swarm.uploads import Uploads
from bench.simnet.swarm.wire import Port, Wire
from transports.p2p.proto.messages import SwarmMessage
from transports.p2p.proto.requests import ORIGIN
from transports.p2p.proto.rules import SwarmRules

__all__ = ["Campus", "Outcome"]

MIB = 1 << 20
GIGABIT = 125e6
VANISHED_S = 15.0
"""A host that is switched off is noticed by those who wait for it after so long (STALL_S, LANE_IDLE_S)."""
REJOIN_FIRST_S, REJOIN_LONGEST_S = 0.5, 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened."""

    seconds: float
    """From the beginning until the last peer that lives has everything."""
    done_s: dict[int, float]
    """Peer to the time from its own join to its end."""
    unfinished: list[int]
    """Peers that live, were not banned, and lack something."""
    bound_s: float
    """What no swarm of those who live could have been faster than, each of them coming when it came."""
    origin_copies: float
    """Images the origin sent."""
    link_copies: dict[int, float]
    """Subnet to images that came in over its link."""
    bytes_by: Counter[str]
    """What peers received: from `origin`, `same` and `other` subnet."""
    duplicates: int
    moved: int
    spares: int
    expired: int
    needs: int
    bad_taken: int
    """Wrong chunks that arrived; none is kept."""
    banned: int
    messages: int
    """On member lanes, both ways."""

    @property
    def ratio(self) -> float:
        """Time for each second of the bound."""
        return self.seconds / self.bound_s


class Campus:
    """The Ground of its peers."""

    def __init__(
        self,
        *,
        chunks: int,
        subnets: int = 1,
        seed: int = 1,
        chunk_bytes: int = 4 * MIB,
        origin_bytes_per_s: float = GIGABIT,
        link_bytes_per_s: float = 0.0,
        rules: SwarmRules | None = None,
        train_bytes: int = MIB // 4,
        delay_s: float = 0.0002,
        think_s: float = 0.0005,
        steps: int = 50_000_000,
    ) -> None:
        """`link_bytes_per_s`: of the link between each subnet and the rest, either way; 0: no limit."""
        self.clock = Clock(steps=steps)
        self.chunks = chunks
        self.train_bytes = train_bytes
        self.delay_s = delay_s
        self.think_s = think_s
        self.peers: dict[int, SimPeer] = {}
        self._seed = seed
        self._chunk_bytes = chunk_bytes
        self._link_rate = link_bytes_per_s
        unlimited = link_bytes_per_s or 1e15
        self._into = [Port(unlimited) for _ in range(subnets)]
        self._out_of = [Port(unlimited) for _ in range(subnets)]
        self.wire = Wire(self.clock, origin_bytes_per_s, train_bytes=train_bytes, delay_s=delay_s)
        self.repod = SimRepod(
            self.clock,
            self.wire,
            chunks=chunks,
            digest=self.digest,
            length_of=self.length_of,
            rules=(rules or SwarmRules()).reaching(chunk_bytes),
            seed=seed,
            delay_s=delay_s,
            on_expelled=self._handle_expelled,
        )
        self._expected = 0
        self._left = 0
        """Peers to come, and peers that live and lack something."""

    # ------------------------------------------------------------------ vocabulary

    def join(
        self,
        count: int,
        *,
        subnet: int = 0,
        at: float = 0.0,
        spread_s: float = 0.0,
        settings: PeerSettings | None = None,
    ) -> list[int]:
        """`count` peers join, the first at `at`, the last `spread_s` later; their numbers."""
        chosen = settings or PeerSettings(up_bytes_per_s=GIGABIT, down_bytes_per_s=GIGABIT)
        numbers = list(range(self._expected, self._expected + count))
        self._expected += count
        self._left += count
        for place, number in enumerate(numbers):
            time = at + (spread_s * place / (count - 1) if count > 1 else 0.0)
            self.clock.at(time, partial(self._join, number, subnet, chosen))
        return numbers

    def kill(self, number: int, *, at: float, vanish: bool = False) -> None:
        """A peer dies. Its kernel tells everybody, unless it vanishes with its machine."""
        self.clock.at(at, partial(self._kill, number, vanish=vanish))

    def kill_repod(self, *, at: float, back_at: float | None = None) -> None:
        """Tracker and origin die, and come back at `back_at`, knowing nothing."""
        self.clock.at(at, self._kill_repod)
        if back_at is not None:
            self.clock.at(back_at, self.repod.rise)

    def until_done(self, *, at_most_s: float = 3600.0) -> Outcome:
        """Let time pass until every peer that lives has everything."""
        self.clock.run(until=at_most_s, stop=lambda: not self._left)
        return self._outcome()

    # ------------------------------------------------------------------ Ground

    def length_of(self, chunk: int) -> int:
        """See Ground."""
        return self._chunk_bytes

    def digest(self, chunk: int) -> bytes:
        """See Ground."""
        return hashlib.sha256(chunk.to_bytes(8, "little")).digest()

    def peer(self, member: int) -> SimPeer | None:
        """See Ground."""
        found = self.repod.peer(member)
        return found if found is not None and found.alive else None

    def is_liar(self, member: int) -> bool:
        """See Ground."""
        found = self.repod.peer(member)
        return found is not None and found.settings.lies

    def uploads(self, source: int) -> Uploads | None:
        """See Ground."""
        if source == ORIGIN:
            return self.repod.uploads if self.repod.up else None
        found = self.peer(source)
        return None if found is None else found.uploads

    def path(self, source: int, to: SimPeer) -> Sequence[Port]:
        """See Ground."""
        if source == ORIGIN:
            return (self._into[to.subnet], to.down)
        found = self.repod.peer(source)
        if found is None or found.subnet == to.subnet:
            return (to.down,)
        return (self._out_of[found.subnet], self._into[to.subnet], to.down)

    def place(self, source: int, of: SimPeer) -> str:
        """See Ground."""
        if source == ORIGIN:
            return "origin"
        found = self.repod.peer(source)
        return "same" if found is not None and found.subnet == of.subnet else "other"

    def tell_repod(self, who: SimPeer, message: SwarmMessage) -> None:
        """See Ground."""
        self.clock.at(self.clock.now + self.delay_s, partial(self.repod.hear, who, message))

    def handle_done(self, who: SimPeer) -> None:
        """See Ground."""
        self._left -= not who.banned

    # ------------------------------------------------------------------ inside

    def _join(self, number: int, subnet: int, settings: PeerSettings) -> None:
        peer = self.peers[number] = SimPeer(self, number=number, subnet=subnet, settings=settings, seed=self._seed)
        self._enter(peer, REJOIN_FIRST_S)

    def _enter(self, peer: SimPeer, pause_s: float) -> None:
        """Announce it, as soon as repod is there."""
        if self.repod.up:
            if peer.member:
                self._part(peer)
                peer.begin_anew()
            self.repod.announce(peer)
            peer.handle_repod(reachable=True)
        elif peer.alive:
            later = min(2 * pause_s, REJOIN_LONGEST_S)
            self.clock.at(self.clock.now + pause_s, partial(self._enter, peer, later))

    def _kill(self, number: int, *, vanish: bool) -> None:
        peer = self.peers[number]
        if not peer.alive:
            return
        self._left -= peer.done_at is None and not peer.banned
        peer.die()
        told = self.clock.now + (VANISHED_S if vanish else self.delay_s)
        self.clock.at(told, partial(self.repod.handle_left, peer, gone=not vanish))
        self.clock.at(told, partial(self._part, peer))

    def _part(self, peer: SimPeer) -> None:
        """Everybody's connections with it are gone."""
        for other in self.peers.values():
            other.handle_source_gone(peer.member)
            other.handle_receiver_gone(peer.number)

    def _handle_expelled(self, peer: SimPeer) -> None:
        """It was banned: nobody waits for it."""
        peer.banned = True
        self._left -= peer.done_at is None

    def _kill_repod(self) -> None:
        self.repod.die()
        for peer in self.peers.values():
            peer.handle_source_gone(ORIGIN)
            peer.handle_repod(reachable=False)
            self.clock.at(self.clock.now + REJOIN_FIRST_S, partial(self._enter, peer, 2 * REJOIN_FIRST_S))

    def _outcome(self) -> Outcome:
        living = [peer for peer in self.peers.values() if peer.alive and not peer.banned]
        figures = [peer.swarm.figures for peer in self.peers.values()]
        image = sum(map(self.length_of, range(self.chunks)))
        by: Counter[str] = Counter()
        for peer in self.peers.values():
            by.update(peer.by)
        return Outcome(
            seconds=self.clock.now,
            done_s={peer.number: peer.done_at - peer.joined_at for peer in living if peer.done_at is not None},
            unfinished=[peer.number for peer in living if peer.done_at is None],
            bound_s=fluid_bound_s(
                image,
                origin_bytes_per_s=self.wire.rate,
                up=[peer.settings.up_bytes_per_s for peer in living],
                down=[peer.settings.down_bytes_per_s for peer in living],
                subnet_link_bytes_per_s=self._link_rate,
                joined_at=[peer.joined_at for peer in living],
            ),
            origin_copies=self.wire.bytes / image,
            link_copies={number: port.bytes / image for number, port in enumerate(self._into)},
            bytes_by=by,
            duplicates=sum(each.duplicates for each in figures),
            moved=sum(each.moved for each in figures),
            spares=sum(each.spares for each in figures),
            expired=sum(each.expired for each in figures),
            needs=sum(each.needs for each in figures),
            bad_taken=sum(peer.bad_taken for peer in self.peers.values()),
            banned=self.repod.events["peer_banned"],
            messages=self.repod.told + self.repod.heard.total(),
        )
