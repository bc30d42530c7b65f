"""One simulated client of a swarm: the machine that asks, slots that give, memory, a decoder, its member lane."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.simnet.clock import Clock
from bench.simnet.swarm.circle import Circle
from bench.simnet.swarm.ground import Ground
from bench.simnet.swarm.uploads import Uploads
from bench.simnet.swarm.wire import Port, Wire
from core.wantmap import WantMap
from transports.p2p.proto.limits import HAVE_AT_ONCE, HAVE_INTERVAL_S
from transports.p2p.proto.messages import (
    Assign,
    BadChunk,
    Banned,
    Damaged,
    Failed,
    Forget,
    Gone,
    Have,
    Lost,
    Meet,
    Need,
    Release,
    Stop,
    SwarmMessage,
    Welcome,
)
from transports.p2p.proto.slots import UploadSlots
from transports.p2p.proto.swarm import Swarm

__all__ = ["PeerSettings", "SimPeer"]

TICK_S = 0.1
WAIT_BYTES = 32
"""Of the word that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """What a client is like."""

    up_bytes_per_s: float
    down_bytes_per_s: float
    slots: int = 15
    """Chunks its memory holds: 64 MiB of 4 MiB chunks (client/budget.py)."""
    verify_bytes_per_s: float = 400e6
    """What its decoder and disk take; the slot is held meanwhile."""
    ring_chunks: int = 0
    """It gives the last so many; 0: all of them."""
    upload_cap_bytes_per_s: int = 0
    """What it gives in all, as the operator says; 0: what its link takes."""
    mode: str = "peer"
    lies: bool = False
    """Every chunk it gives is wrong."""
    silent: bool = False
    """It promises chunks and never sends them."""


class SimPeer:
    """Made by a Campus, which also says whom it is told about."""

    def __init__(self, ground: Ground, *, number: int, subnet: int, settings: PeerSettings, seed: int) -> None:
        self.number = number
        self.subnet = subnet
        self.settings = settings
        self.alive = True
        self.joined_at = ground.clock.now
        self.done_at: float | None = None
        self.member = 0
        """Its id in the swarm; 0 before it was welcomed."""
        self.bad_taken = 0
        """Wrong chunks it got, none of which it kept."""
        self.by: Counter[str] = Counter()
        """Stored bytes that came: same subnet, other subnet, origin."""
        self.want = WantMap(ground.chunks)
        self.held: NDArray[np.bool_] = np.zeros(ground.chunks, dtype=np.bool_)
        self.down = Port(settings.down_bytes_per_s)
        self._ground = ground
        self._clock: Clock = ground.clock
        self._wire = Wire(ground.clock, settings.up_bytes_per_s, train_bytes=ground.train_bytes, delay_s=ground.delay_s)
        self._rng = random.Random(seed * 100_003 + number)
        self._verifying = 0
        self.uploads = self._make_uploads()
        self.swarm = self._make_swarm()
        self._circle = Circle(self, ground)
        self._free = settings.slots
        self._ring: deque[int] = deque()
        self._decoder_free_at = 0.0
        self._have: list[int] = []
        self._have_due = False
        self._pumping = False
        self._flow: Counter[int] = Counter()
        self._bad: set[int] = set()
        self.stopped = False
        self.banned = False
        self._clock.at(self._clock.now + TICK_S * (1 + number % 16 / 16), self._tick)

    def _make_uploads(self) -> Uploads:
        uploads = Uploads(
            self._clock,
            self._wire,
            source=0,
            slots=UploadSlots(
                bytes_per_s=self.settings.upload_cap_bytes_per_s,
                rank=lambda number: uploads.rank(number),
                chunks=self._ground.chunks,
                now=self._clock.now,
            ),
            length_of=self._ground.length_of,
            holds=lambda chunk: bool(self.held[chunk]),
            delay_s=self._ground.delay_s,
        )
        uploads.silent = self.settings.silent
        return uploads

    def _make_swarm(self) -> Swarm:
        return Swarm(
            self.want,
            seed=self._rng.getrandbits(32),
            window=256,
            slots=self.settings.slots,
            rng=self._rng,
            now=self._clock.now,
        )

    # ------------------------------------------------------------------ ends

    def begin_anew(self) -> None:
        """Another session, with what it has; the campus breaks its connections."""
        self.uploads.close()
        self.uploads = self._make_uploads()
        self.swarm = self._make_swarm()
        self._circle = Circle(self, self._ground)
        self._free = self.settings.slots - self._verifying
        self.member = 0

    def die(self) -> None:
        """It is gone; the campus tells those who were connected."""
        self.alive = False
        self.uploads.close()

    def handle_source_gone(self, source: int) -> None:
        """A connection to somebody who gives broke."""
        if self.alive and source in self.swarm.requests:
            self.swarm.handle_source_gone(source, self._clock.now)
            self._recount()
            self._pump_soon()

    def handle_receiver_gone(self, number: int) -> None:
        """A connection from somebody who takes broke."""
        if self.alive:
            self.uploads.leave(number)

    # ------------------------------------------------------------------ repod

    def handle_message(self, message: SwarmMessage) -> None:
        """What repod says."""
        if not self.alive:
            return
        match message:
            case Welcome():
                self.member = self.uploads.source = message.member
                self.swarm.picker.set_window(message.window)
            case Meet():
                self._circle.meet(message.peers)
            case Forget():
                self._circle.forget(message.ids)
            case Banned():
                self._circle.ban(message.ids)
            case Assign():
                self.swarm.handle_assigned(message.chunks, self._clock.now)
            case Release():
                self.swarm.handle_released(message.chunks)
            case Damaged():
                self.swarm.handle_damaged(message.chunk, message.reason)
            case Stop():
                self.stopped = True
        self._pump_soon()

    def handle_repod(self, *, reachable: bool) -> None:
        """The member lane broke, or is there again."""
        if not self.alive:
            return
        self.swarm.handle_repod(reachable)
        self._circle.use_bridges(not reachable)
        self._pump_soon()

    def say(self, message: SwarmMessage) -> None:
        """Tell repod."""
        self._ground.tell_repod(self, message)

    def _tell_have(self) -> None:
        self._have_due = False
        if self._have and self.alive:
            have, self._have = self._have, []
            self.say(Have(chunks=tuple(have)))

    # ------------------------------------------------------------------ neighbours

    def handle_map(self, peer: int, held: NDArray[np.bool_]) -> None:
        """All a neighbour holds."""
        if self.alive:
            self.swarm.handle_map(peer, held)
            self._pump_soon()

    def handle_news(self, peer: int, chunk: int) -> None:
        """A neighbour holds one more."""
        if self.alive:
            self.swarm.handle_news(peer, (chunk,))
            self._pump_soon()

    def handle_gone(self, peer: int, chunk: int) -> None:
        """A neighbour holds one less."""
        if self.alive:
            self.swarm.handle_gone(peer, (chunk,))

    # ------------------------------------------------------------------ Receiver

    def path_from(self, source: int) -> Sequence[Port]:
        """See Receiver."""
        return self._ground.path(source, self)

    def handle_train(self, source: int, chunk: int, count: int, *, last: bool) -> None:
        """See Receiver."""
        if not self.alive or source not in self.swarm.requests:
            return
        self._flow[source] += count
        self.by[self._ground.place(source, self)] += count
        if not last:
            self.swarm.handle_begun(source, chunk)
            return
        now = self._clock.now
        if not self.swarm.handle_arrived(source, chunk, now):
            self._free += 1
            self._pump_soon()
            return
        self._verifying += 1
        if self._ground.is_liar(source):
            self._bad.add(chunk)
        self._decoder_free_at = (
            max(now, self._decoder_free_at) + self._ground.length_of(chunk) / self.settings.verify_bytes_per_s
        )
        self._clock.at(self._decoder_free_at, partial(self._judge, source, chunk))
        self._pump_soon()

    def handle_returned(self, source: int, chunk: int) -> None:
        """See Receiver."""
        if self.alive and source in self.swarm.requests:
            self.swarm.handle_returned(source, chunk)
            self._free += 1
            self._pump_soon()

    def handle_refused(self, source: int, chunk: int) -> None:
        """See Receiver."""
        if self.alive and source in self.swarm.requests:
            self.swarm.handle_refused(source, chunk, self._clock.now)
            self._free += 1
            self._pump_soon()

    def handle_turn(self, source: int) -> None:
        """See Receiver."""
        if self.alive and source in self.swarm.requests:
            self.swarm.turns.handle_come(source)
            self._pump_soon()

    def count(self) -> int:
        """See Receiver."""
        return int(self.held.sum())

    def handle_waiting(self, source: int, *, waiting: bool) -> None:
        """See Receiver."""
        if self.alive:
            self._flow[source] += WAIT_BYTES
            self.swarm.requests.handle_waiting(source, waiting)

    def _judge(self, source: int, chunk: int) -> None:
        """It was decoded and compared."""
        if not self.alive:
            return
        self._free += 1
        self._verifying -= 1
        if chunk in self._bad:
            self._bad.discard(chunk)
            self.bad_taken += 1
            if self.swarm.reject(chunk, source, "wrong digest"):
                self.say(BadChunk(peer=source, chunk=chunk, expected=self._ground.digest(chunk), got=bytes(32)))
                self._circle.ban([source])
            self._pump_soon()
            return
        self.want.discard(chunk)
        at_once = self.swarm.accept(chunk)
        self._keep(chunk)
        self._have.append(chunk)
        if at_once or len(self._have) >= HAVE_AT_ONCE:
            self._tell_have()
        elif not self._have_due:
            self._have_due = True
            self._later(self._tell_have, HAVE_INTERVAL_S)
        if not len(self.want) and self.done_at is None:
            self.done_at = self._clock.now
            self._tell_have()
            self._ground.handle_done(self)
        self._pump_soon()

    def _keep(self, chunk: int) -> None:
        self.held[chunk] = True
        if self.settings.mode == "leecher":
            return
        gone = -1
        if self.settings.ring_chunks:
            self._ring.append(chunk)
            if len(self._ring) > self.settings.ring_chunks:
                gone = self._ring.popleft()
                self.held[gone] = False
                self.say(Gone(chunks=(gone,)))
        self._later(partial(self._spread, chunk, gone), self._ground.delay_s)

    def _spread(self, chunk: int, gone: int) -> None:
        """Everybody connected hears of it."""
        if not self.alive:
            return
        for receiver in self.uploads.receivers:
            assert isinstance(receiver, SimPeer)
            receiver.handle_news(self.member, chunk)
            if gone >= 0:
                receiver.handle_gone(self.member, gone)

    # ------------------------------------------------------------------ the machine's turn

    def _recount(self) -> None:
        self._free = self.settings.slots - self.swarm.under_way - self._verifying

    def _later(self, call: Callable[[], None], delay_s: float) -> None:
        self._clock.at(self._clock.now + delay_s, call)

    def _pump_soon(self) -> None:
        if not self._pumping and self.alive:
            self._pumping = True
            self._clock.at(self._clock.now + self._ground.think_s, self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if not self.alive:
            return
        swarm, now = self.swarm, self._clock.now
        self._take_back()
        while (asking := swarm.poll_ask(now, self._free)) is not None:
            self._free -= 1
            self._tell(asking.source, Uploads.ask, asking.chunk)
        while (peer := swarm.turns.poll_pass()) is not None:
            self._tell(peer, Uploads.pass_turn)
        while (peer := swarm.poll_turn(now, self._free)) is not None:
            self._tell(peer, Uploads.ask_turn)
        self._take_back()
        if needs := swarm.poll_needs():
            self.say(Need(chunks=tuple(needs)))
        if failed := swarm.poll_failed():
            self.say(Failed(chunks=tuple(failed), reason="not taken"))
        while (slow := swarm.poll_slow()) is not None:
            self.say(Lost(peer=slow, reason="promised chunks and did not send them"))

    def _take_back(self) -> None:
        while (cancel := self.swarm.poll_cancel()) is not None:
            self._tell(cancel.source, Uploads.cancel, cancel.chunk)

    def _tell(self, source: int, call: Callable[..., None], *chunk: int) -> None:
        """Call a method of the sending side of `source`, when word of it is there."""
        if (uploads := self._ground.uploads(source)) is not None:
            self._later(partial(call, uploads, self.number, *chunk), self._ground.delay_s)

    def _tick(self) -> None:
        if not self.alive or self.done_at is not None:
            return
        for source, count in self._flow.items():
            self.swarm.requests.handle_bytes(source, count)
        self._flow.clear()
        self.swarm.handle_timer(self._clock.now)
        self._pump_soon()
        self._later(self._tick, TICK_S)
