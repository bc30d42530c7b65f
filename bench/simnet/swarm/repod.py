"""The simulated repository: the directory of the swarm and the origin's wire. It can die, and come back."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np

from bench.simnet.clock import Clock
from bench.simnet.swarm.peer import SimPeer
from bench.simnet.swarm.uploads import Uploads
from bench.simnet.swarm.wire import Wire
from core.errors import ProtocolError
from transports.member.proto.maps import pack_wants
from transports.p2p.proto.directory import Directory
from transports.p2p.proto.limits import KEY_BYTES
from transports.p2p.proto.messages import (
    Announce,
    BadChunk,
    Failed,
    Gone,
    Have,
    Lost,
    Need,
    SwarmMessage,
)
from transports.p2p.proto.requests import ORIGIN
from transports.p2p.proto.rules import SwarmRules

__all__ = ["SimRepod"]

TICK_S = 0.25
PORT = 9


class SimRepod:
    """What is fixed of it outlives its deaths; the directory does not."""

    def __init__(
        self,
        clock: Clock,
        wire: Wire,
        *,
        chunks: int,
        digest: Callable[[int], bytes],
        length_of: Callable[[int], int],
        rules: SwarmRules,
        seed: int,
        delay_s: float,
        on_expelled: Callable[[SimPeer], None],
    ) -> None:
        self.up = True
        self.heard: Counter[str] = Counter()
        """Messages of members, by kind."""
        self.told = 0
        """Messages to members."""
        self.events: Counter[str] = Counter()
        self._clock = clock
        self._wire = wire
        self._chunks = chunks
        self._digest = digest
        self._length_of = length_of
        self._rules = rules
        self._rng = random.Random(seed)
        self._delay_s = delay_s
        self._on_expelled = on_expelled
        self._peers: dict[int, SimPeer] = {}
        """By member id."""
        self.uploads = self._make_uploads()
        self.directory = self._make_directory()
        clock.at(clock.now + TICK_S, self._tick)

    def peer(self, member: int) -> SimPeer | None:
        """Who was given this id."""
        return self._peers.get(member)

    # ------------------------------------------------------------------ members

    def announce(self, peer: SimPeer) -> None:
        """A client is here."""
        if not self.up or not peer.alive:
            return
        wanted = np.zeros(self._chunks, dtype=np.bool_)
        wanted[list(peer.want)] = True
        announce = Announce(
            port=0 if peer.settings.mode == "leecher" else PORT,
            subnet=f"subnet {peer.subnet}",
            mode=peer.settings.mode,
            wanted=pack_wants(wanted),
            held=pack_wants(peer.held),
        )
        address = f"10.{peer.subnet}.{peer.number >> 8}.{peer.number & 255}"
        member = self.directory.handle_announce(f"s{peer.number}", announce, address=address, now=self._clock.now)
        self._peers[member] = peer
        self.uploads.join(peer.number, peer)
        peer.swarm.handle_source(ORIGIN, self._clock.now)
        self.flush()

    def hear(self, peer: SimPeer, message: SwarmMessage) -> None:
        """A member says something; what a member must not say is a mistake of the simulation, and raised."""
        if not self.up or not peer.member:
            return
        now, member = self._clock.now, peer.member
        self.heard[type(message).__name__] += 1
        if self.directory.member(member) is None:
            return
        match message:
            case Have():
                self.directory.handle_have(member, message.chunks, now)
            case Gone():
                self.directory.handle_gone(member, message.chunks, now)
            case Failed():
                self.directory.handle_failed(member, message.chunks, message.reason, now)
            case Need():
                self.directory.handle_need(member, message.chunks, now)
            case BadChunk():
                self.directory.handle_bad_chunk(member, message, now)
            case Lost():
                self.directory.handle_lost(member, message.peer, message.reason, now)
            case _:
                raise ProtocolError(f"{type(message).__name__} is not for the repository to hear")
        self.flush()

    def handle_left(self, peer: SimPeer, *, gone: bool) -> None:
        """A member lane ended."""
        if self.up and peer.member:
            self.uploads.leave(peer.number)
            self.directory.handle_left(peer.member, self._clock.now, gone=gone)
            self.flush()

    # ------------------------------------------------------------------ ends

    def die(self) -> None:
        """Tracker and origin are gone; the campus tells the peers."""
        self.up = False
        self.uploads.close()

    def rise(self) -> None:
        """It is there again and knows nobody."""
        self.up = True
        self._peers.clear()
        self.uploads = self._make_uploads()
        self.directory = self._make_directory()

    # ------------------------------------------------------------------ inside

    def flush(self) -> None:
        """Send what the directory has to say."""
        for chunk in self.directory.poll_suspects():
            assert chunk < self._chunks  # every chunk can be read here
        for member, message in self.directory.poll_messages():
            self.told += 1
            if (peer := self._peers.get(member)) is not None:
                self._clock.at(self._clock.now + self._delay_s, partial(peer.handle_message, message))
        self.events.update(name for name, _ in self.directory.poll_events())
        for member, _ in self.directory.poll_expelled():
            if (peer := self._peers.get(member)) is not None:
                self.uploads.leave(peer.number)
                peer.handle_source_gone(ORIGIN)
                self._on_expelled(peer)

    def _tick(self) -> None:
        if self.up:
            self.directory.handle_timer(self._clock.now)
            self.flush()
        self._clock.at(self._clock.now + TICK_S, self._tick)

    def _make_directory(self) -> Directory:
        return Directory(
            chunks=self._chunks,
            digest=self._digest,
            secret=self._rng.randbytes(KEY_BYTES),
            rules=self._rules,
            rng=self._rng,
        )

    def _make_uploads(self) -> Uploads:
        return Uploads(
            self._clock,
            self._wire,
            source=ORIGIN,
            slots=None,
            length_of=self._length_of,
            holds=lambda chunk: True,
            delay_s=self._delay_s,
        )
