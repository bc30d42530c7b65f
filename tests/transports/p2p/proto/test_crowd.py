"""In a crowd chunks come one after the other and not all at once; in a small room nothing changes."""

from __future__ import annotations

import random

from core.wantmap import WantMap
from transports.p2p.proto.crowd import CROWD, MOVING_S, MOVING_TIMES, QUEUED, RECEIVING, SENDING
from transports.p2p.proto.slots import UploadSlots
from transports.p2p.proto.swarm import Swarm


def _asked(neighbours: int, *, begin: bool) -> int:
    """Requests under way of a peer whose neighbours hold everything."""
    swarm = Swarm(WantMap(200), seed=1, window=200, slots=99, rng=random.Random(1), now=0.0)
    for peer in range(1, neighbours + 1):
        swarm.handle_source(peer, 0.0)
        swarm.handle_news(peer, range(200))
    while (asking := swarm.poll_ask(0.0, 99 - swarm.under_way)) is not None:
        if begin:
            swarm.handle_begun(asking.source, asking.chunk)
    return swarm.under_way


def test_a_peer_in_a_crowd_waits_for_few_and_receives_few() -> None:
    assert _asked(CROWD + 1, begin=False) == QUEUED
    assert _asked(CROWD + 1, begin=True) == RECEIVING


def test_a_peer_in_a_small_room_asks_everybody() -> None:
    assert _asked(CROWD, begin=True) == 2 * CROWD


def test_what_waits_is_taken_back_when_enough_comes() -> None:
    swarm = Swarm(WantMap(200), seed=1, window=200, slots=99, rng=random.Random(1), now=0.0)
    for peer in range(1, CROWD + 2):
        swarm.handle_source(peer, 0.0)
        swarm.handle_news(peer, range(200))
    asked = []
    while len(asked) < RECEIVING + 1 and (asking := swarm.poll_ask(0.0, 50)) is not None:
        asked.append(asking)
        if len(asked) <= RECEIVING - 1:
            swarm.handle_begun(asking.source, asking.chunk)
    swarm.handle_begun(asked[-1].source, asked[-1].chunk)
    assert swarm.poll_ask(0.0, 50) is None
    assert swarm.poll_cancel() == asked[-2]
    assert swarm.poll_cancel() is None


def test_who_may_wait_for_no_more_moves_what_waits_to_those_it_asked_nothing_of() -> None:
    swarm = Swarm(WantMap(200), seed=1, window=200, slots=99, rng=random.Random(1), now=0.0)
    for peer in range(1, CROWD + 2):
        swarm.handle_source(peer, 0.0)
        swarm.handle_news(peer, range(200))
    asked = []
    while (asking := swarm.poll_ask(0.0, 50)) is not None:
        asked.append(asking)
    assert len(asked) == QUEUED
    assert swarm.poll_ask(MOVING_S / 2, 50) is None
    assert swarm.poll_cancel() is None
    assert swarm.poll_ask(MOVING_S, 50) is None
    moved = []
    while (cancel := swarm.poll_cancel()) is not None:
        moved.append(cancel)
    assert moved == asked
    for cancel in moved:
        swarm.requests.handle_waiting(cancel.source, True)
        swarm.handle_returned(cancel.source, cancel.chunk)
    anew = []
    while (asking := swarm.poll_ask(MOVING_S, 50)) is not None:
        anew.append(asking.source)
    assert len(anew) == QUEUED
    assert not {each.source for each in asked} & set(anew)


def test_who_waits_is_as_patient_as_chunks_are_large() -> None:
    swarm = Swarm(WantMap(200), seed=1, window=200, slots=99, rng=random.Random(1), now=0.0)
    for peer in range(1, CROWD + 2):
        swarm.handle_source(peer, 0.0)
        swarm.handle_news(peer, range(200))
    first = swarm.poll_ask(0.0, 50)
    assert first is not None
    swarm.handle_arrived(first.source, first.chunk, 1.0)
    while swarm.poll_ask(1.0, 50) is not None:
        pass
    assert swarm.poll_ask(1.0 + 0.9 * MOVING_TIMES, 50) is None
    assert swarm.poll_cancel() is None
    assert swarm.poll_ask(1.0 + 1.1 * MOVING_TIMES, 50) is None
    assert swarm.poll_cancel() is not None


def test_a_peer_sends_to_all_of_a_room_and_to_few_of_a_crowd() -> None:
    for lanes, expected in ((10, 10), (11, SENDING)):
        slots = UploadSlots(10)
        for lane in range(lanes):
            slots.join(lane)
        assert sum(slots.ask(lane, 0.0) for lane in range(lanes)) == expected
