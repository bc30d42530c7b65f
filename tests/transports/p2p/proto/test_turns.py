"""Nothing is bound to a neighbour before that is about to send: what is asked for is chosen when the turn comes."""

from __future__ import annotations

import random

import pytest

from core.wantmap import WantMap
from transports.p2p.proto.crowd import CROWD, LAST_CHUNKS, RECEIVING, RECEIVING_LAST, TURNS
from transports.p2p.proto.requests import EXPIRY_LEAST_S, LATE_AFTER, LATE_LEAST_S, ORIGIN
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


def _take_all(swarm: Swarm, *, assigned: int) -> list[int]:
    """Everybody asked gives its turn, and `assigned` comes from the origin: whom chunks are taken of."""
    swarm.handle_source(ORIGIN, 0.0)
    swarm.handle_assigned([assigned], 0.0)
    for peer in _ask(swarm):
        swarm.turns.handle_come(peer)
    taken = []
    while (asking := swarm.poll_ask(0.0, 50)) is not None:
        taken.append(asking.source)
    assert taken.count(ORIGIN) == 1
    return [peer for peer in taken if peer != ORIGIN]


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


@pytest.mark.parametrize(("lacks", "taken"), [(LAST_CHUNKS + 1, RECEIVING), (LAST_CHUNKS, RECEIVING_LAST)])
def test_the_last_chunks_from_the_origin_have_more_of_the_link(lacks: int, taken: int) -> None:
    swarm = _crowd(want=lacks, holding=range(CHUNKS - 1))
    assert len(_take_all(swarm, assigned=CHUNKS - 1)) == taken


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
