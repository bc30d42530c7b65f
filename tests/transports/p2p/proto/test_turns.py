"""Nothing is bound to a neighbour before that is about to send: what is asked for is chosen when the turn comes."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from core.wantmap import WantMap
from transports.p2p.proto.asking import Asking
from transports.p2p.proto.crowd import CROWD, LAST_CHUNKS, RECEIVING, RECEIVING_LAST, TURNS
from transports.p2p.proto.requests import EXPIRY_LEAST_S, FIRST_EXPECTED_S, LATE_AFTER, LATE_LEAST_S, ORIGIN
from transports.p2p.proto.swarm import DUPLICATES_LEAST, Swarm
from transports.p2p.proto.turns import BEGIN_S, BELIEVED_LEAST_S, BELIEVED_MOST_S, BELIEVED_TIMES

CHUNKS = 40


def _crowd(neighbours: int = 3 * TURNS, *, holding: range = range(CHUNKS), want: int = CHUNKS) -> Swarm:
    """A peer that lacks the last `want` chunks, among neighbours who hold `holding`."""
    lacking = WantMap(CHUNKS)
    lacking.discard_all(range(CHUNKS - want))
    swarm = Swarm(lacking, seed=1, window=CHUNKS, slots=99, rng=random.Random(1), now=0.0)
    for peer in range(1, neighbours + 1):
        swarm.handle_source(peer, 0.0)
        swarm.handle_news(peer, holding)
    return swarm


def _at_its_last(wants: int = LAST_CHUNKS) -> Swarm:
    """A peer that wants so many chunks, and was assigned the highest, which no neighbour holds."""
    swarm = _crowd(want=wants, holding=range(CHUNKS - 1))
    swarm.handle_source(ORIGIN, 0.0)
    swarm.handle_assigned([CHUNKS - 1], 0.0)
    assert swarm.poll_ask(0.0, 50) == Asking(source=ORIGIN, chunk=CHUNKS - 1)
    return swarm


def _taken(swarm: Swarm, now: float = 0.0) -> int:
    """Everybody asked gives its turn: of how many chunks are taken."""
    for peer in _ask(swarm, now):
        swarm.turns.handle_come(peer)
    count = 0
    while swarm.poll_ask(now, 50) is not None:
        count += 1
    while swarm.turns.poll_pass() is not None:
        pass
    return count


def _ask(swarm: Swarm, now: float = 0.0, free_slots: int = 50) -> list[int]:
    """Whom it asks for turns."""
    found: list[int] = []
    while (peer := swarm.poll_turn(now, free_slots)) is not None:
        found.append(peer)
    return found


def test_turns_are_asked_of_a_few_and_no_chunk_before_one_comes() -> None:
    swarm = _crowd()
    asked = _ask(swarm)
    assert len(set(asked)) == len(asked) == TURNS
    assert swarm.poll_ask(0.0, 50) is None
    swarm.turns.handle_come(asked[3])
    asking = swarm.poll_ask(0.0, 50)
    assert asking is not None
    assert asking.source == asked[3]
    assert swarm.turns.poll_pass() is None
    assert len(_ask(swarm)) == 1  # in place of the one that came


def test_in_a_small_room_nobody_is_asked_for_a_turn() -> None:
    assert _ask(_crowd(CROWD)) == []


def test_without_memory_no_turn_is_asked_for_and_one_that_comes_is_passed() -> None:
    swarm = _crowd()
    assert _ask(swarm, free_slots=0) == []
    [first, *_] = _ask(swarm)
    swarm.turns.handle_come(first)
    assert swarm.poll_ask(0.0, 0) is None
    assert swarm.turns.poll_pass() == first
    assert swarm.turns.poll_pass() is None


def test_who_has_nothing_for_this_peer_is_not_asked() -> None:
    swarm = _crowd(holding=range(0))
    assert _ask(swarm) == []
    swarm.handle_news(7, [3])
    assert _ask(swarm) == [7]


def test_turns_that_come_while_enough_chunks_come_are_passed() -> None:
    swarm = _crowd()
    asked = _ask(swarm)
    for peer in asked:
        swarm.turns.handle_come(peer)
    taken = []
    while (asking := swarm.poll_ask(0.0, 50)) is not None:
        taken.append(asking.source)
    assert taken == asked[:RECEIVING]
    assert [swarm.turns.poll_pass() for _ in asked[RECEIVING:]] == asked[RECEIVING:]
    assert _ask(swarm) == []
    swarm.handle_returned(taken[0], swarm.requests.chunks()[0])
    assert len(_ask(swarm)) == TURNS


@pytest.mark.parametrize(("wants", "taken"), [(LAST_CHUNKS + 1, RECEIVING), (LAST_CHUNKS, RECEIVING_LAST)])
def test_one_of_the_last_chunks_has_more_of_the_link_while_it_comes_from_the_origin(wants: int, taken: int) -> None:
    swarm = _at_its_last(wants)
    swarm.handle_begun(ORIGIN, CHUNKS - 1)
    assert _taken(swarm, BEGIN_S) == taken


def test_without_the_origin_the_last_chunks_are_received_as_all_others() -> None:
    assert _taken(_crowd(want=LAST_CHUNKS)) == RECEIVING


@pytest.mark.parametrize(
    "end",
    [
        lambda swarm: swarm.handle_arrived(ORIGIN, CHUNKS - 1, 0.1),
        lambda swarm: swarm.handle_source_gone(ORIGIN, 0.1),
    ],
    ids=["came", "gone"],
)
def test_whoever_made_way_for_the_origin_takes_as_many_as_before_afterwards(end: Callable[[Swarm], object]) -> None:
    swarm = _at_its_last()
    assert _taken(swarm) == RECEIVING_LAST
    assert _ask(swarm) == []
    end(swarm)
    assert _taken(swarm, 0.1) == RECEIVING - RECEIVING_LAST


def test_nobody_makes_way_for_what_does_not_begin() -> None:
    assert _taken(_at_its_last(), BEGIN_S) == RECEIVING


def test_while_a_neighbour_is_late_another_may_bring_its_chunk_beside_the_origin() -> None:
    swarm = _at_its_last()
    swarm.handle_begun(ORIGIN, CHUNKS - 1)
    assert _taken(swarm) == RECEIVING_LAST
    for request in swarm.requests.of_neighbours():
        swarm.handle_begun(request.source, request.chunk)
    assert _ask(swarm, LATE_LEAST_S) == []
    assert _ask(swarm, LATE_AFTER * FIRST_EXPECTED_S + LATE_LEAST_S) != []


def test_what_another_sends_meanwhile_is_not_asked_for_again() -> None:
    swarm = _crowd(holding=range(1))
    first, second = _ask(swarm)[:2]
    swarm.turns.handle_come(first)
    assert swarm.poll_ask(0.0, 50) is not None
    swarm.turns.handle_come(second)
    assert swarm.poll_ask(0.0, 50) is None
    assert swarm.turns.poll_pass() == second


def test_a_turn_that_does_not_come_holds_up_nothing_for_long() -> None:
    swarm = _crowd()
    asked = _ask(swarm)
    assert _ask(swarm, BELIEVED_LEAST_S / 2) == []
    anew = _ask(swarm, BELIEVED_LEAST_S)
    assert len(anew) == TURNS
    assert not set(asked) & set(anew)


@pytest.mark.parametrize(
    ("took_s", "believed_s"),
    [(0.01, BELIEVED_LEAST_S), (1.0, BELIEVED_TIMES), (100.0, BELIEVED_MOST_S)],
)
def test_a_turn_is_waited_for_as_long_as_a_part_of_a_chunk_takes(took_s: float, believed_s: float) -> None:
    swarm = _crowd()
    [first, *_] = _ask(swarm)
    swarm.turns.handle_come(first)
    asking = swarm.poll_ask(0.0, 50)
    assert asking is not None
    swarm.handle_arrived(first, asking.chunk, took_s)
    now = took_s + BELIEVED_MOST_S  # nobody is waited for any more
    assert len(_ask(swarm, now)) == TURNS
    assert _ask(swarm, now + 0.99 * believed_s) == []
    assert len(_ask(swarm, now + 1.01 * believed_s)) == TURNS


def test_who_gives_turns_and_sends_nothing_takes_no_place_for_long() -> None:
    swarm = _crowd()
    for peer in _ask(swarm)[:RECEIVING]:
        swarm.turns.handle_come(peer)
        assert swarm.poll_ask(0.0, 50) is not None
    assert _ask(swarm, BEGIN_S / 2) == []
    assert _ask(swarm, BEGIN_S)
    swarm.handle_timer(EXPIRY_LEAST_S)
    assert swarm.figures.expired == RECEIVING
    assert len(swarm.picker.lacking([])) == CHUNKS  # all of them are asked of others again


def test_who_is_gone_owes_no_turn() -> None:
    swarm = _crowd()
    first, second = _ask(swarm)[:2]
    swarm.turns.handle_come(first)
    swarm.handle_source_gone(first, 0.0)
    swarm.handle_source_gone(second, 0.0)
    assert swarm.poll_ask(0.0, 50) is None
    assert swarm.turns.poll_pass() is None
    assert len(_ask(swarm)) == 2


def test_the_turn_of_who_is_not_to_be_asked_is_passed() -> None:
    swarm = _crowd()
    [first, *_] = _ask(swarm)
    swarm.turns.handle_come(first)
    swarm.standing.ban(first)
    assert swarm.poll_ask(0.0, 50) is None
    assert swarm.turns.poll_pass() == first


def test_what_is_late_elsewhere_is_asked_for_a_second_time_but_not_what_the_origin_sends() -> None:
    swarm = _crowd(holding=range(1))
    late_at = max(LATE_LEAST_S, LATE_AFTER) + 0.1
    first, second, third = _ask(swarm)[:3]
    swarm.turns.handle_come(first)
    assert swarm.poll_ask(0.0, 50) is not None
    swarm.turns.handle_come(second)
    asking = swarm.poll_ask(late_at, 50)
    assert asking is not None
    assert (asking.source, asking.chunk) == (second, 0)
    assert swarm.figures.spares == 1
    swarm.turns.handle_come(third)
    assert swarm.poll_ask(late_at, 50) is None  # two are enough

    other = _crowd(holding=range(1))
    other.handle_source(ORIGIN, 0.0)
    other.handle_assigned([0], 0.0)
    assert other.poll_ask(0.0, 50) is not None
    other.turns.handle_come(1)
    assert other.poll_ask(late_at, 50) is None


def test_no_more_is_asked_for_twice_than_is_allowed() -> None:
    swarm = _crowd(holding=range(DUPLICATES_LEAST + 1))
    late_at = max(LATE_LEAST_S, LATE_AFTER) + 0.1
    asked = _ask(swarm)
    for peer in asked[: DUPLICATES_LEAST + 1]:
        swarm.turns.handle_come(peer)
        assert swarm.poll_ask(0.0, 50) is not None
    for peer in asked[DUPLICATES_LEAST + 1 :]:
        swarm.turns.handle_come(peer)
        swarm.poll_ask(late_at, 50)
    assert swarm.figures.spares == DUPLICATES_LEAST
