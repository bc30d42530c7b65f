"""In a crowd chunks come one after the other and not all at once; in a small room nothing changes."""

from __future__ import annotations

import random

from core.wantmap import WantMap
from transports.p2p.proto.crowd import CROWD, RECEIVING, SENDING
from transports.p2p.proto.slots import UploadSlots
from transports.p2p.proto.swarm import Swarm


def _asked(neighbours: int) -> int:
    """Requests under way of a peer whose neighbours hold everything, and give every turn they are asked for."""
    swarm = Swarm(WantMap(200), seed=1, window=200, slots=99, rng=random.Random(1), now=0.0)
    for peer in range(1, neighbours + 1):
        swarm.handle_source(peer, 0.0)
        swarm.handle_news(peer, range(200))
    while (peer := swarm.poll_turn(0.0, 99)) is not None:
        swarm.turns.handle_come(peer)
        swarm.poll_ask(0.0, 99 - swarm.under_way)
    while swarm.poll_ask(0.0, 99 - swarm.under_way) is not None:
        pass
    return swarm.under_way


def test_few_chunks_come_at_a_time_to_a_peer_in_a_crowd() -> None:
    assert _asked(CROWD + 1) == RECEIVING


def test_a_peer_in_a_small_room_asks_everybody() -> None:
    assert _asked(CROWD) == 2 * CROWD


def test_a_peer_sends_to_all_of_a_room_and_to_few_of_a_crowd() -> None:
    for lanes, expected in ((10, 10), (11, SENDING)):
        slots = UploadSlots(10)
        for lane in range(lanes):
            slots.join(lane)
        assert sum(slots.ask(lane, 0.0) for lane in range(lanes)) == expected
