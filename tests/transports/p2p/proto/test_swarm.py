"""A room in virtual time: everybody ends with everything, near the limit, whatever happens to whom."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.wantmap import WantMap
from tests.helpers.swarm_room import SwarmRoom
from transports.p2p.proto.asking import Asking
from transports.p2p.proto.picker import Phase
from transports.p2p.proto.swarm import DUPLICATES_LEAST, MOVE_AFTER_S, ORIGIN, Swarm


def make(chunks: int = 8) -> tuple[Swarm, WantMap]:
    want = WantMap(chunks)
    return Swarm(want, seed=1, window=256, slots=8, rng=random.Random(1), now=0.0), want


@pytest.mark.parametrize("seed", [1, 2])
def test_a_room_ends_near_the_limit_with_one_copy_from_the_origin(seed: int) -> None:
    room = SwarmRoom(6, 36, seed=seed)
    room.run()
    assert all(peer.done_at is not None for peer in room.peers)
    assert max(peer.done_at or 0 for peer in room.peers) < 1.25 * room.limit_s()
    assert room.origin_sent == 36
    assert sum(peer.swarm.figures.duplicates for peer in room.peers) == 0


def test_a_peer_that_dies_costs_the_others_little() -> None:
    room = SwarmRoom(5, 24, seed=3)
    room.clock.at(1.5, lambda: room.kill(0))
    room.run(until=60)
    assert all(peer.done_at is not None for peer in room.peers[1:])


def test_a_liar_is_banned_by_everybody_it_lied_to() -> None:
    room = SwarmRoom(4, 24, seed=4)
    room.peers[2].lies = lambda chunk: True
    room.run(until=60)
    assert all(peer.done_at is not None for peer in room.peers)
    assert {whom for _, whom in room.bans} == {2}
    assert len(room.bans) == len(set(room.bans))


def test_a_peer_that_promises_and_never_sends_is_given_a_rest() -> None:
    room = SwarmRoom(4, 24, seed=5)
    room.peers[1].silent = True
    room.run(until=120)
    assert all(peer.done_at is not None for peer in room.peers)
    assert sum(peer.swarm.figures.expired for peer in room.peers) > 0


def test_without_repod_a_swarm_goes_on_with_what_it_has() -> None:
    room = SwarmRoom(3, 18, seed=6)
    room.clock.at(1.0, room.kill_repod)
    room.run(until=20)
    have = [peer.held for peer in room.peers]
    assert have[0] == have[1] == have[2]
    assert have[0]


def test_only_what_was_assigned_is_taken_from_the_origin() -> None:
    swarm, _ = make()
    swarm.handle_source(ORIGIN, 0.0)
    assert swarm.poll_ask(0.0, 8) is None
    swarm.handle_assigned([3], 0.0)
    assert swarm.poll_ask(0.0, 8) == Asking(source=ORIGIN, chunk=3)
    assert swarm.poll_ask(0.0, 8) is None


def test_nothing_is_asked_for_without_memory() -> None:
    swarm, _ = make()
    swarm.handle_source(7, 0.0)
    swarm.handle_news(7, [0, 1])
    assert swarm.poll_ask(0.0, 0) is None


def test_a_chunk_that_came_twice_is_wanted_once() -> None:
    swarm, want = make()
    swarm.handle_source(7, 0.0)
    swarm.handle_news(7, [0])
    assert swarm.poll_ask(0.0, 8) == Asking(source=7, chunk=0)
    assert swarm.handle_arrived(7, 0, 1.0)
    assert not swarm.handle_arrived(7, 0, 1.0)
    want.discard(0)
    swarm.accept(0)
    assert swarm.picker.phase(0) is Phase.DONE
    assert swarm.figures.duplicates == 1


def test_a_chunk_of_the_origin_that_is_always_wrong_is_lost_by_name() -> None:
    swarm, want = make(1)
    swarm.handle_source(ORIGIN, 0.0)
    for _ in range(3):
        swarm.handle_assigned([0], 0.0)
        assert swarm.poll_ask(0.0, 8) is not None
        swarm.handle_arrived(ORIGIN, 0, 0.0)
        assert not swarm.reject(0, ORIGIN, "wrong")
    assert list(swarm.lost) == list(want) == [0]
    assert swarm.finished


def test_what_a_lost_neighbour_owed_is_asked_elsewhere() -> None:
    swarm, _ = make()
    for peer in (7, 8):
        swarm.handle_source(peer, 0.0)
        swarm.handle_news(peer, [0])
    first = swarm.poll_ask(0.0, 8)
    assert first is not None
    swarm.handle_source_gone(first.source, 0.1)
    assert swarm.poll_ask(0.1, 8) == Asking(source=15 - first.source, chunk=0)


def test_what_was_taken_back_from_who_is_dead_is_asked_elsewhere() -> None:
    swarm, _ = make()
    for peer in (7, 8):
        swarm.handle_source(peer, 0.0)
    swarm.handle_news(7, [0])
    assert swarm.poll_ask(0.0, 8) == Asking(source=7, chunk=0)
    swarm.handle_news(8, [0])
    assert swarm.poll_ask(MOVE_AFTER_S, 8) is None
    assert swarm.poll_cancel() == Asking(source=7, chunk=0)
    swarm.handle_timer(0.5)
    assert swarm.poll_ask(0.5, 8) is None  # it may say yet that it dropped it, or send it
    for tenth in range(5, 60):
        swarm.handle_timer(tenth / 10)
    assert swarm.poll_ask(6.0, 8) == Asking(source=8, chunk=0)


def test_what_only_one_has_that_did_not_answer_is_needed() -> None:
    swarm, _ = make(1)
    swarm.handle_source(7, 0.0)
    swarm.handle_news(7, [0])
    assert swarm.poll_ask(0.0, 8) is not None
    now = 0.0
    while not (needs := swarm.poll_needs()) and now < 10.0:
        now += 0.1
        swarm.handle_timer(now)
    assert needs == [0]
    assert swarm.standing.may_ask(7, now)


def test_a_bridge_is_asked_only_while_repod_is_out_of_reach() -> None:
    swarm, _ = make()
    swarm.handle_source(7, 0.0, bridge=True)
    swarm.handle_news(7, [0])
    assert swarm.poll_ask(0.0, 8) is None
    swarm.handle_repod(reachable=False)
    assert swarm.poll_ask(0.0, 8) == Asking(source=7, chunk=0)


def test_chunks_that_come_to_be_wanted_are_asked_for_and_those_that_were_taken_away_again_too() -> None:
    want = WantMap(8, full=False)
    swarm = Swarm(want, seed=1, window=256, slots=8, rng=random.Random(1), now=0.0)
    swarm.handle_source(7, 0.0)
    swarm.handle_map(7, np.ones(8, dtype=np.bool_))
    assert swarm.poll_ask(0.0, 8) is None
    want.add(5)
    swarm.handle_wanted([5])
    assert swarm.poll_ask(0.1, 8) == Asking(source=7, chunk=5)
    want.discard(5)
    swarm.handle_change()
    assert swarm.poll_cancel() == Asking(source=7, chunk=5)
    swarm.handle_returned(7, 5)
    want.add(5)
    swarm.handle_wanted([5])
    assert swarm.poll_ask(0.2, 8) == Asking(source=7, chunk=5)


@pytest.mark.parametrize("source", [7, ORIGIN])
def test_a_chunk_wanted_again_waits_for_the_answer_to_its_cancel(source: int) -> None:
    swarm, want = make()
    for chunk in range(8):
        if chunk != 5:
            want.discard(chunk)
    swarm.handle_source(source, 0.0)
    if source == ORIGIN:
        swarm.handle_assigned([5], 0.0)
    else:
        swarm.handle_map(source, np.ones(8, dtype=np.bool_))
    assert swarm.poll_ask(0.0, 8) == Asking(source=source, chunk=5)
    want.discard(5)
    swarm.handle_change()
    assert swarm.poll_cancel() == Asking(source=source, chunk=5)
    want.add(5)
    swarm.handle_wanted([5])
    if source == ORIGIN:
        swarm.handle_assigned([5], 0.1)
    assert swarm.poll_ask(0.1, 8) is None
    assert swarm.under_way == 1
    swarm.handle_returned(source, 5)
    assert swarm.under_way == 0
    assert swarm.poll_ask(0.2, 8) == Asking(source=source, chunk=5)
    assert swarm.handle_arrived(source, 5, 0.3)
    swarm.accept(5)
    assert (swarm.under_way, swarm.in_hand) == (0, frozenset())


def test_a_chunk_wanted_again_is_taken_when_it_comes_in_spite_of_its_cancel() -> None:
    swarm, want = make()
    swarm.handle_source(7, 0.0)
    swarm.handle_map(7, np.ones(8, dtype=np.bool_))
    asked = swarm.poll_ask(0.0, 8)
    assert asked is not None
    want.discard(asked.chunk)
    swarm.handle_change()
    want.add(asked.chunk)
    swarm.handle_wanted([asked.chunk])
    assert swarm.handle_arrived(7, asked.chunk, 0.1)


def test_a_second_request_that_was_taken_back_is_none_of_the_few_allowed() -> None:
    swarm, _ = make(1)
    for peer in (7, 8):
        swarm.handle_source(peer, 0.0)
        swarm.handle_news(peer, [0])
    first = swarm.poll_ask(0.0, 8)
    assert first is not None
    other = 15 - first.source
    for late in range(1, 2 * DUPLICATES_LEAST + 1):
        assert swarm.poll_ask(10.0 * late, 8) == Asking(source=other, chunk=0)
        swarm.handle_returned(other, 0)
    assert swarm.figures.spares == 2 * DUPLICATES_LEAST


def test_who_says_that_it_lets_this_peer_wait_is_asked_for_no_second_chunk() -> None:
    swarm, _ = make()
    swarm.handle_source(7, 0.0)
    swarm.handle_news(7, [0, 1])
    assert swarm.poll_ask(0.0, 8) is not None
    swarm.requests.handle_waiting(7, True)
    assert swarm.poll_ask(0.0, 8) is None
    swarm.requests.handle_waiting(7, False)
    assert swarm.poll_ask(0.0, 8) is not None
