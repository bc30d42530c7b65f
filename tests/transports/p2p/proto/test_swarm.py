"""A room in virtual time: everybody ends with everything, near the limit, whatever happens to whom."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.wantmap import WantMap
from tests.helpers.swarm_room import SwarmRoom
from transports.p2p.proto.asking import Asking
from transports.p2p.proto.assignments import ORIGIN_WAIT_S
from transports.p2p.proto.limits import NEED_AFTER_S
from transports.p2p.proto.picker import Phase
from transports.p2p.proto.requests import OVERDUE_MAX_S
from transports.p2p.proto.standing import REFUSALS_MAX
from transports.p2p.proto.swarm import DUPLICATES_LEAST, MOVE_AFTER_S, ORIGIN, Swarm


def make(chunks: int = 8) -> tuple[Swarm, WantMap]:
    want = WantMap(chunks)
    return Swarm(want, seed=1, window=256, slots=8, rng=random.Random(1), now=0.0), want


def _of_two() -> Swarm:
    """Of one chunk, which two neighbours hold."""
    swarm, _ = make(1)
    for peer in (7, 8):
        swarm.handle_source(peer, 0.0)
        swarm.handle_news(peer, [0])
    return swarm


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
    swarm.handle_source_gone(ORIGIN, 0.1)
    assert swarm.poll_failed() == [3]


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


@pytest.mark.parametrize("gone", [True, False])
def test_what_a_lost_neighbour_owed_or_one_refused_is_asked_elsewhere(gone: bool) -> None:
    swarm = _of_two()
    first = swarm.poll_ask(0.0, 8)
    assert first is not None
    if gone:
        swarm.handle_source_gone(first.source, 0.1)
    else:
        swarm.handle_refused(first.source, 0, 0.0)
    assert swarm.poll_ask(0.1, 8) == Asking(source=15 - first.source, chunk=0)


def test_who_refuses_what_it_says_it_holds_is_given_a_rest_and_named() -> None:
    swarm, _ = make(2 * REFUSALS_MAX)
    swarm.handle_source(7, 0.0)
    swarm.handle_news(7, range(2 * REFUSALS_MAX))
    refused = 0
    while (asking := swarm.poll_ask(0.0, 8)) is not None:
        swarm.handle_refused(7, asking.chunk, 0.0)
        refused += 1
    assert refused == REFUSALS_MAX
    assert (swarm.poll_slow(), swarm.poll_slow()) == (7, None)


def test_who_said_that_it_let_go_of_chunks_is_not_to_blame_for_refusing_them() -> None:
    swarm, _ = make(2 * REFUSALS_MAX)
    swarm.handle_source(7, 0.0)
    swarm.handle_news(7, range(2 * REFUSALS_MAX))
    while (asking := swarm.poll_ask(0.0, 8)) is not None:
        swarm.handle_gone(7, [asking.chunk])
        swarm.handle_refused(7, asking.chunk, 0.0)
    assert swarm.poll_slow() is None
    assert not swarm.holders.rarity.any()


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
    swarm.handle_source(8, 0.0)
    swarm.handle_news(7, [0])
    assert swarm.poll_ask(0.0, 8) is not None
    now = 0.0
    while not (needs := swarm.poll_needs()) and now < 10.0:
        now += 0.1
        swarm.requests.handle_bytes(8, 24)  # somebody says something, so that not everybody is mute
        swarm.handle_timer(now)
    assert needs == [0]
    assert swarm.standing.may_ask(7, now)


def test_beside_a_neighbour_that_says_nothing_everything_is_needed_and_a_few_are_coming_all_the_time() -> None:
    swarm, want = make(40)
    swarm.handle_source(ORIGIN, 0.0)
    now, named_at = 0.0, {}
    while len(want) and now < 10.0:
        now += 0.1
        swarm.handle_timer(now, unheard=True)
        needs = swarm.poll_needs()
        named_at.update(dict.fromkeys(needs, now))
        swarm.handle_assigned(needs, now)
        for _ in range(2):  # so many come between two looks
            if (asking := swarm.poll_ask(now, 8)) is not None:
                swarm.handle_arrived(ORIGIN, asking.chunk, now)
                want.discard(asking.chunk)
                swarm.accept(asking.chunk)
    assert sorted(named_at) == list(range(40))
    assert now < NEED_AFTER_S + 0.1 * (40 / 2 + 3)


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
    swarm = _of_two()
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


def test_what_one_alone_holds_who_says_without_end_that_the_turn_will_come_is_needed_of_repod() -> None:
    swarm, _ = make()
    swarm.handle_source(7, 0.0)
    swarm.handle_news(7, range(8))
    swarm.requests.handle_waiting(7, True)
    named: list[tuple[float, int]] = []
    for tick in range(1, 600):
        swarm.requests.handle_bytes(7, tick % 10 == 0)
        swarm.handle_timer(tick / 10)
        named += [(tick / 10, chunk) for chunk in swarm.poll_needs()]
        while (cancel := swarm.poll_cancel()) is not None:
            swarm.handle_returned(7, cancel.chunk)
        while swarm.poll_ask(tick / 10, 8) is not None:
            pass
    assert len({chunk for _, chunk in named}) >= 7, "all but the one that it was asked for again"
    assert OVERDUE_MAX_S < named[0][0] < OVERDUE_MAX_S + 10
    assert swarm.poll_slow() is None, "its uplink may be that slow"


@pytest.mark.parametrize("whole", [False, True])
def test_what_was_lost_is_asked_of_whoever_turns_out_to_have_it(whole: bool) -> None:
    swarm, _ = make(2)
    swarm.handle_source(7, 0.0)
    swarm.handle_damaged(0, "unreadable")
    assert swarm.lost == {0: "unreadable"}
    if whole:
        swarm.handle_map(7, np.array([True, False]))
    else:
        swarm.handle_news(7, [0])
    assert swarm.lost == {}
    assert swarm.poll_ask(0.0, 8) == Asking(source=7, chunk=0)


def test_what_a_neighbour_has_is_not_lost_when_repod_cannot_read_it() -> None:
    swarm = _of_two()
    swarm.handle_damaged(0, "unreadable")
    assert swarm.lost == {}


def test_an_assignment_the_origin_refuses_is_given_back_and_counted() -> None:
    swarm, _ = make()
    swarm.handle_source(ORIGIN, 0.0)
    swarm.handle_assigned([3, 4], 0.0)
    assert swarm.poll_ask(0.0, 8) == Asking(source=ORIGIN, chunk=3)
    swarm.handle_refused(ORIGIN, 3, 0.0)
    assert swarm.poll_failed() == [3]
    assert swarm.poll_failed() == []
    assert swarm.figures.returned == 1
    assert swarm.poll_ask(0.0, 8) == Asking(source=ORIGIN, chunk=4)


def test_what_is_released_is_taken_back_unless_it_is_coming() -> None:
    swarm, _ = make()
    swarm.handle_source(ORIGIN, 0.0)
    swarm.handle_assigned([3, 4], 0.0)
    while swarm.poll_ask(0.0, 8) is not None:
        pass
    swarm.handle_begun(ORIGIN, 3)
    swarm.handle_released([3, 4, 5])
    assert swarm.poll_cancel() == Asking(source=ORIGIN, chunk=4)
    assert swarm.poll_cancel() is None


def test_what_is_coming_is_not_moved_to_another() -> None:
    swarm = _of_two()
    first = swarm.poll_ask(0.0, 8)
    assert first is not None
    swarm.handle_begun(first.source, 0)
    assert swarm.poll_ask(2 * MOVE_AFTER_S, 8) is None
    assert swarm.poll_cancel() is None
    assert swarm.figures.moved == 0


def test_what_is_moved_waited_as_long_as_it_may_and_is_counted() -> None:
    swarm = _of_two()
    first = swarm.poll_ask(0.0, 8)
    assert swarm.poll_ask(0.9 * MOVE_AFTER_S, 8) is None
    assert swarm.poll_cancel() is None
    assert swarm.poll_ask(MOVE_AFTER_S, 8) is None
    assert swarm.poll_cancel() == first
    assert swarm.figures.moved == 1


def test_a_second_request_that_was_taken_back_makes_room_for_one_other() -> None:
    swarm, _ = make(3)
    for peer in (10, 11, 12, 20, 21, 22):
        swarm.handle_source(peer, 0.0)
        swarm.handle_news(peer, [peer % 10])
    while (first := swarm.poll_ask(0.0, 8)) is not None:
        swarm.handle_begun(first.source, first.chunk)
    assert swarm.under_way == 3
    spares = [swarm.poll_ask(10.0, 8) for _ in range(DUPLICATES_LEAST + 1)]
    assert spares[-1] is None
    assert spares[0] is not None
    swarm.handle_returned(spares[0].source, spares[0].chunk)
    assert swarm.poll_ask(10.0, 8) is not None
    assert swarm.poll_ask(10.0, 8) is None


@pytest.mark.parametrize(("slots", "left_alone"), [(8, 2), (3, 1)])
def test_the_last_memory_is_left_to_the_origin_while_it_is_there(slots: int, left_alone: int) -> None:
    for origin in (True, False):
        swarm = Swarm(WantMap(8), seed=1, window=256, slots=slots, rng=random.Random(1), now=0.0)
        swarm.handle_source(7, 0.0)
        swarm.handle_news(7, range(8))
        if origin:
            swarm.handle_source(ORIGIN, 0.0)
        assert (swarm.poll_ask(0.0, left_alone) is None) is origin
        assert swarm.poll_ask(0.0, left_alone + 1) is not None


def test_a_good_chunk_clears_the_neighbour_it_came_from_and_nobody_else() -> None:
    swarm, _ = make()
    for source in (7, 8, ORIGIN):
        swarm.handle_source(source, 0.0)
        swarm.standing.blame(source, 0.0)
    swarm.handle_news(7, [0])
    swarm.handle_assigned([1], 0.0)
    for source, chunk in ((7, 0), (ORIGIN, 1)):
        assert swarm.handle_arrived(source, chunk, 1.0)
        assert swarm.accept(chunk) is (source == ORIGIN)
    assert [swarm.standing.is_blamed(source) for source in (7, 8, ORIGIN)] == [False, True, True]


def test_who_never_drops_what_was_taken_back_is_given_a_rest_and_named() -> None:
    swarm, want = make()
    swarm.handle_source(7, 0.0)
    swarm.handle_news(7, [0])
    assert swarm.poll_ask(0.0, 8) is not None
    want.discard(0)
    swarm.handle_change()
    named = []
    for look in range(5):
        swarm.handle_timer(5.0 * look)
        named.append(swarm.poll_slow())
    assert named == [None, None, None, 7, None]
    assert not swarm.standing.may_ask(7, 20.0)


def test_what_came_from_one_is_taken_back_from_the_other() -> None:
    swarm = _of_two()
    first = swarm.poll_ask(0.0, 8)
    second = swarm.poll_ask(10.0, 8)
    assert first is not None
    assert second is not None
    assert swarm.handle_arrived(second.source, 0, 11.0)
    assert swarm.quiet_since == 11.0
    assert swarm.poll_cancel() == first
    assert swarm.poll_cancel() is None
    assert not swarm.finished


def test_assignments_wait_for_no_origin_for_ever() -> None:
    swarm, _ = make()
    swarm.handle_assigned([3], 0.0)
    swarm.handle_timer(ORIGIN_WAIT_S - 0.1)
    assert swarm.poll_failed() == []
    swarm.handle_timer(ORIGIN_WAIT_S)
    assert swarm.poll_failed() == [3]


def test_assignments_of_a_repod_out_of_reach_are_nobodys() -> None:
    swarm, _ = make()
    swarm.handle_source(7, 0.0)
    swarm.handle_news(7, [3])
    swarm.handle_assigned([3], 0.0)
    assert swarm.poll_ask(0.0, 8) is None
    swarm.handle_repod(reachable=False)
    assert swarm.poll_failed() == []
    assert swarm.poll_ask(0.0, 8) == Asking(source=7, chunk=3)
