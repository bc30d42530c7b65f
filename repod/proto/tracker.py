"""The tracker of the published torrents: who takes part in which swarm. Pure.

Memory is bounded three times: peers of one address in a swarm, of a swarm and of all swarms. Where a bound is reached,
who has most there makes room: of swarms the largest, in it the subnet with most peers, in that the address with most
ports, of these the one heard of longest ago. So whoever comes under many addresses crowds out those beside it and
nobody else. Who comes where nobody has more than it is told of others and not remembered.
A swarm exists from `handle_publish` to `handle_withdraw`; announces make none.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.errors import NotFoundError
from repod.proto.announce import Announce, AnnounceReply, Event, PeerAddress

__all__ = ["EARLY_S", "PEERS_PER_ADDRESS_MAX", "SwarmState", "Tracker", "TrackerLimits"]

PEERS_PER_ADDRESS_MAX = 32
"""Of one swarm: a machine with several clients, or a gateway with some behind it."""
EARLY_S = 5.0
"""A client that announces again before, without an event, is told no peers: it has just heard them."""
MIN_INTERVAL_S = 10
_SILENT_INTERVALS = 2.5
"""Intervals without an announce after which a peer is gone."""
_NEAR_SHARE = 0.75
"""Of an answer that may be peers of the same subnet while there are others: swarms of subnets stay connected."""
_SUBNET_BYTES = {4: 3, 16: 8}
"""Leading bytes that peers of one subnet share, by length of address: /24 and /64."""
_LOOPBACK = {4: b"\x7f", 16: bytes(15) + b"\x01"}

_Key = tuple[bytes, int]
"""Address and port: a client that starts anew there replaces itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerLimits:
    """Bounds and pace of a tracker."""

    peers: int
    """Of all swarms."""
    peers_per_swarm: int
    interval_s: int
    """How often peers announce."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmState:
    """One swarm in figures."""

    complete: int
    incomplete: int
    completed: int
    """Clients that said that they have just finished."""


@dataclass(slots=True, kw_only=True)
class _Peer:
    address: bytes
    port: int
    peer_id: bytes
    complete: bool
    heard: float


class _Swarm:
    """Peers of one info hash, the one heard of longest ago first."""

    def __init__(self) -> None:
        self.peers: OrderedDict[_Key, _Peer] = OrderedDict()
        self.of_address: Counter[bytes] = Counter()
        self.of_subnet: Counter[bytes] = Counter()
        self.complete = 0
        self.completed = 0

    def put(self, key: _Key, peer: _Peer) -> None:
        self.drop(key)
        self.peers[key] = peer
        self.of_address[peer.address] += 1
        self.of_subnet[_subnet(peer.address)] += 1
        self.complete += peer.complete

    def drop(self, key: _Key) -> _Peer | None:
        peer = self.peers.pop(key, None)
        if peer is not None:
            self.complete -= peer.complete
            _take_one(self.of_address, peer.address)
            _take_one(self.of_subnet, _subnet(peer.address))
        return peer

    def who_makes_room(self) -> _Key:
        """Of the address with most peers in the subnet with most, the oldest. There must be peers."""
        return self.oldest_of(self._fullest(max(self.of_subnet, key=self.of_subnet.__getitem__)))

    def who_makes_room_for(self, address: bytes) -> _Key | None:
        """The same for a peer at `address`; None if that would only change places with its like."""
        subnet = _subnet(address)
        if max(self.of_subnet.values(), default=0) - self.of_subnet[subnet] > 1:
            return self.who_makes_room()
        if not self.of_subnet[subnet]:
            return None
        fullest = self._fullest(subnet)
        return self.oldest_of(fullest) if self.of_address[fullest] - self.of_address[address] > 1 else None

    def _fullest(self, subnet: bytes) -> bytes:
        return max((each for each in self.of_address if _subnet(each) == subnet), key=self.of_address.__getitem__)

    def oldest_of(self, address: bytes) -> _Key:
        return next(key for key in self.peers if key[0] == address)


class Tracker:
    """All swarms. `rng` decides which peers somebody is told of."""

    def __init__(self, limits: TrackerLimits, *, rng: random.Random) -> None:
        self._limits = limits
        self._rng = rng
        self._swarms: dict[bytes, _Swarm] = {}
        self.peers = 0
        """Peers remembered in all."""
        self.announces = 0
        """Announces answered with peers or without."""
        self.early = 0
        """Of these, answered without peers because they came too soon."""
        self.crowded_out = 0
        """Peers forgotten to make room for another."""
        self.refused = 0
        """New peers not remembered because a bound was reached."""

    def handle_publish(self, info_hash: bytes) -> None:
        """Track a torrent from now on; harmless when repeated."""
        self._swarms.setdefault(info_hash, _Swarm())

    def handle_withdraw(self, info_hash: bytes) -> None:
        """Forget a torrent and its peers; harmless when it is unknown."""
        swarm = self._swarms.pop(info_hash, None)
        if swarm is not None:
            self.peers -= len(swarm.peers)

    def handle_announce(self, announce: Announce, address: bytes, *, now: float) -> AnnounceReply:
        """Note a peer that announced from `address` (packed), and tell it of others.

        Raises NotFoundError for a torrent that is not tracked.
        """
        swarm = self._swarms.get(announce.info_hash)
        if swarm is None:
            raise NotFoundError("this torrent is not published here")
        self._expire(swarm, now)
        key = (address, announce.port)
        known = swarm.peers.get(key)
        if announce.event is Event.STOPPED:
            self.peers -= swarm.drop(key) is not None
            self.announces += 1
            return self._reply(swarm, [])
        self._note(swarm, key, known, announce, now)
        self.announces += 1
        early = known is not None and now - known.heard < EARLY_S
        if early and announce.event is Event.NONE:
            self.early += 1
            return self._reply(swarm, [])
        return self._reply(swarm, self._choose(swarm, key, announce))

    def state(self, info_hash: bytes) -> SwarmState:
        """Figures of a swarm, all zero if there is none."""
        swarm = self._swarms.get(info_hash) or _Swarm()
        return SwarmState(
            complete=swarm.complete, incomplete=len(swarm.peers) - swarm.complete, completed=swarm.completed
        )

    def poll_expired(self, *, now: float) -> None:
        """Forget peers that have been silent for too long; call now and then."""
        for swarm in self._swarms.values():
            self._expire(swarm, now)

    def _note(self, swarm: _Swarm, key: _Key, known: _Peer | None, announce: Announce, now: float) -> None:
        if known is None:
            if not self._has_room(swarm, key[0]):
                self.refused += 1
                return
            self.peers += 1
        complete = announce.left == 0
        if announce.event is Event.COMPLETED and not (known is not None and known.complete):
            swarm.completed += 1
        peer = _Peer(address=key[0], port=announce.port, peer_id=announce.peer_id, complete=complete, heard=now)
        swarm.put(key, peer)

    def _has_room(self, swarm: _Swarm, address: bytes) -> bool:
        """Whether one more at `address` is remembered; somebody may have been forgotten for it."""
        goes: _Key | None
        if swarm.of_address[address] >= PEERS_PER_ADDRESS_MAX:
            goes = swarm.oldest_of(address)
        elif len(swarm.peers) >= self._limits.peers_per_swarm:
            goes = swarm.who_makes_room_for(address)
        elif self.peers >= self._limits.peers:
            largest = max(self._swarms.values(), key=lambda each: len(each.peers))
            if len(largest.peers) - len(swarm.peers) > 1:
                swarm, goes = largest, largest.who_makes_room()
            else:
                goes = swarm.who_makes_room_for(address)
        else:
            return True
        if goes is None:
            return False
        swarm.drop(goes)
        self.peers -= 1
        self.crowded_out += 1
        return True

    def _choose(self, swarm: _Swarm, asking: _Key, announce: Announce) -> list[PeerAddress]:
        """Peers for somebody: most of them from its subnet; no seeds for a seed; this machine's own only to itself."""
        complete = announce.left == 0
        near_to = _subnet(asking[0])
        near: list[_Peer] = []
        far: list[_Peer] = []
        for key, peer in swarm.peers.items():
            if key == asking or (complete and peer.complete):
                continue
            if _is_loopback(peer.address) and not _is_loopback(asking[0]):
                continue
            (near if _subnet(peer.address) == near_to else far).append(peer)
        most = announce.numwant
        from_near = min(len(near), max(most - len(far), int(most * _NEAR_SHARE)))
        chosen = self._rng.sample(near, min(from_near, most))
        chosen += self._rng.sample(far, min(len(far), most - len(chosen)))
        return [PeerAddress(address=peer.address, port=peer.port, peer_id=peer.peer_id) for peer in chosen]

    def _reply(self, swarm: _Swarm, peers: Sequence[PeerAddress]) -> AnnounceReply:
        return AnnounceReply(
            interval_s=self._limits.interval_s,
            min_interval_s=min(MIN_INTERVAL_S, self._limits.interval_s),
            complete=swarm.complete,
            incomplete=len(swarm.peers) - swarm.complete,
            peers=peers,
        )

    def _expire(self, swarm: _Swarm, now: float) -> None:
        for key in list(_silent(swarm, now - self._limits.interval_s * _SILENT_INTERVALS)):
            swarm.drop(key)
            self.peers -= 1


def _silent(swarm: _Swarm, since: float) -> Iterator[_Key]:
    for key, peer in swarm.peers.items():
        if peer.heard > since:
            return
        yield key


def _subnet(address: bytes) -> bytes:
    """Of another length for each family, so that no two are taken for one."""
    return address[: _SUBNET_BYTES[len(address)]]


def _take_one(counts: Counter[bytes], name: bytes) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]


def _is_loopback(address: bytes) -> bool:
    return address.startswith(_LOOPBACK[len(address)])
