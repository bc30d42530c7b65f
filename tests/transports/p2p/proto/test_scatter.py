"""Each chunk goes to a subnet once, to those who are fast, and comes back when it does not arrive."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transports.p2p.proto.chunkset import ChunkSet
from transports.p2p.proto.limits import ASSIGNED_AHEAD
from transports.p2p.proto.member import Member
from transports.p2p.proto.patience import ENDING_S, EXPECTED_FIRST_S, LEAST_S, TIMES
from transports.p2p.proto.scatter import (
    DOUBTED_S,
    ENDING,
    FED_S,
    MEMBER_AHEAD_MAX,
    NEED_AHEAD_MAX,
    QUIET_S,
    ROTATE_CHUNKS,
    Scatter,
)
from transports.p2p.proto.taker import REST_FIRST_S, REST_MAX_S

CHUNKS = 60


def _member(
    number: int, *, held: Iterable[int] = (), mode: str = "peer", port: int = 1, chunks: int = CHUNKS
) -> Member:
    has = np.zeros(chunks, dtype=np.bool_)
    has[list(held)] = True
    return Member(
        id=number,
        session=f"s{number}",
        key=bytes(32),
        host="10.0.0.1",
        port=port,
        subnet="x",
        mode=mode,
        wanted=ChunkSet(~has),
        held=ChunkSet(has),
        order=number,
    )


def _bystander(number: int, *, held: Iterable[int] = ()) -> Member:
    """Who is in the swarm for the others, and gets the image in another way."""
    member = _member(number, held=held)
    member.wanted, member.stands_by = ChunkSet.of(CHUNKS), True
    return member


def _scatter(*members: Member, streams: int = 10, window: int = 256, chunks: int = CHUNKS) -> Scatter:
    scatter = Scatter(chunks, streams=streams, window=window)
    for member in members:
        scatter.add(member)
    return scatter


def _given(scatter: Scatter, now: float = 0.0) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for assignment in scatter.fill(now):
        found.setdefault(assignment.member, []).append(assignment.chunk)
    return found


def _take(scatter: Scatter, member: Member, chunk: int, now: float = 0.0) -> None:
    member.wanted.discard(chunk)
    if member.held.add(chunk):
        scatter.handle_have(member, [chunk], now)


def test_the_lowest_chunks_are_dealt_in_turn() -> None:
    scatter = _scatter(_member(1), _member(2), _member(3))
    assert _given(scatter) == {1: [0, 3], 2: [1, 4], 3: [2, 5]}
    assert scatter.under_way == 6
    assert _given(scatter) == {}


def test_what_somebody_here_can_give_is_not_taken_from_the_origin() -> None:
    scatter = _scatter(_member(1, held=range(10)), _member(2))
    assert _given(scatter) == {1: [10, 12], 2: [11, 13]}


def test_who_arrives_gets_the_next_and_more_at_a_time() -> None:
    one = _member(1)
    scatter = _scatter(one)
    assert _given(scatter) == {1: [0, 1]}
    taken = 0
    for chunk in range(30):
        _take(scatter, one, chunk)
        _given(scatter)
        taken = max(taken, len(scatter.open_of(1)))
    assert taken == MEMBER_AHEAD_MAX


def test_in_a_full_subnet_a_member_has_two_under_way() -> None:
    members = [_member(number) for number in range(1, 9)]
    scatter = _scatter(*members)
    _given(scatter)
    for chunk in range(16):
        _take(scatter, members[chunk % 8], chunk)
        _given(scatter)
        assert max(len(scatter.open_of(member.id)) for member in members) == ASSIGNED_AHEAD


def test_the_last_chunks_of_a_small_subnet_are_dealt_one_at_a_time() -> None:
    members = [_member(number) for number in range(1, 9)]
    scatter = _scatter(*members)
    under_way: dict[int, int] = {}
    taken = 0
    _given(scatter)
    while (left := CHUNKS - scatter.assigned) or scatter.under_way:
        under_way[left] = max(len(scatter.open_of(member.id)) for member in members)
        most = max(members, key=lambda member: len(scatter.open_of(member.id)))
        _take(scatter, most, scatter.open_of(most.id)[0], now=(taken := taken + 1))
        _given(scatter, taken)
    assert under_way[int(ENDING * 8) + 1] == ASSIGNED_AHEAD
    assert {under_way[left] for left in under_way if left <= 4} == {1}
    assert scatter.assigned == CHUNKS


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_members_are_sent_the_last_chunks_without_a_pause(count: int) -> None:
    held = range(CHUNKS - 2 * count)
    scatter = _scatter(*(_member(number, held=held) for number in range(1, count + 1)))
    assert [len(chunks) for chunks in _given(scatter).values()] == [2] * count


def test_only_so_many_members_take_at_a_time_and_they_change() -> None:
    members = [_member(number, chunks=400) for number in range(1, 7)]
    scatter = _scatter(*members, streams=2, chunks=400)
    served = dict.fromkeys(range(1, 7), 0)
    _given(scatter)
    for _ in range(200):
        active = [member for member in members if scatter.open_of(member.id)]
        assert len(active) <= 2
        for member in active:
            _take(scatter, member, scatter.open_of(member.id)[0])
            served[member.id] += 1
        _given(scatter)
    assert min(served.values()) > 0
    assert max(served.values()) - min(served.values()) <= 4 * ROTATE_CHUNKS


def test_nobody_is_sent_far_ahead_of_what_it_lacks() -> None:
    late, early = _member(1), _member(2, held=range(30))
    scatter = _scatter(late, early, window=20)
    assert _given(scatter) == {2: [30, 31]}
    for chunk in range(15):
        _take(scatter, late, chunk)
    assert _given(scatter) == {1: [32, 33]}


def test_a_chunk_that_takes_too_long_is_given_to_another() -> None:
    slow, fast = _member(1), _member(2)
    scatter = _scatter(slow, fast)
    _given(scatter)
    assert scatter.poll_expired(TIMES * EXPECTED_FIRST_S - 0.1) == []
    _take(scatter, fast, 1, now=1.0)
    assert scatter.poll_expired(LEAST_S - 0.1) == []
    late = scatter.poll_expired(LEAST_S)
    assert {(each.member, each.chunk) for each in late} == {(1, 0), (1, 2), (2, 3)}
    assert scatter.expired == 3
    # Both rest; who is late again rests longer.
    assert _given(scatter, LEAST_S) == {}
    later = LEAST_S + REST_FIRST_S
    assert sorted(chunk for chunks in _given(scatter, later).values() for chunk in chunks) == [0, 2]


def _ending(*members: Member) -> Scatter:
    """Five chunks, all of them assigned, one to each of five members; a chunk takes 0.1 s."""
    scatter = _scatter(*members, chunks=5)
    for member in members:
        scatter.assign_urgent(member.id, 0, -0.1)
        scatter.handle_have(member, [0] if member.held.add(0) else [], 0.0)
        member.wanted.discard(0)
        scatter._fresh.clear()
    return scatter


def test_at_the_end_who_verifies_nothing_is_not_waited_for_and_what_it_holds_counts_no_more() -> None:
    gone, here, there = members = [_member(number, chunks=5) for number in (1, 2, 3)]
    scatter = _ending(*members)
    assert _given(scatter, 0.0) == {1: [1], 2: [2], 3: [3]}
    _take(scatter, gone, 4, 0.0)  # it alone holds that
    for member, chunk in ((here, 2), (there, 3)):
        _take(scatter, member, chunk, 0.5)
    assert scatter.poll_expired(0.99 * ENDING_S) == []
    late = scatter.poll_expired(1.2 * ENDING_S)
    assert [(each.member, each.chunk) for each in late] == [(1, 1)]
    assert scatter.holders(4) == 0
    assert _given(scatter, 1.2 * ENDING_S) == {2: [1], 3: [4]}
    _take(scatter, gone, 2, 2.0)
    assert scatter.holders(4) == 1


def test_at_the_end_who_goes_on_verifying_is_waited_for() -> None:
    slow, other = members = [_member(number, chunks=5) for number in (1, 2)]
    scatter = _ending(*members)
    assert _given(scatter, 0.0) == {1: [1, 3], 2: [2, 4]}
    _take(scatter, slow, 1, 1.0)
    _take(scatter, other, 2, 1.0)
    assert scatter.poll_expired(1.9) == []
    assert scatter.poll_expired(3.0) == []  # nobody verifies anything: it is the origin that stands still
    assert {each.chunk for each in scatter.poll_expired(2 * LEAST_S)} == {3, 4}


def test_at_the_end_who_is_silent_is_given_nothing_however_much_it_alone_held() -> None:
    gone, *others = members = [_member(number) for number in range(1, 5)]
    scatter = _scatter(*members)
    for chunk in range(40):
        _take(scatter, gone, chunk, 0.1)
    for place, chunk in enumerate(range(40, 60)):
        _take(scatter, others[place % 3], chunk, 1.0)
    gone_taker = next(iter(scatter))
    gone_taker.took_s = 0.1
    scatter._patience.handle_arrived(0.1)
    assert scatter.poll_expired(1.2) == []
    given = _given(scatter, 1.2)
    assert given
    assert gone.id not in given


def test_at_the_end_while_nobody_verifies_anything_those_who_did_last_get_the_rest() -> None:
    gone, here = members = [_member(number, chunks=5) for number in (1, 2)]
    scatter = _ending(*members)
    for chunk in (1, 2):
        _take(scatter, gone, chunk, 0.1)
    for chunk in (3, 4):
        _take(scatter, here, chunk, 0.6)
    assert scatter.poll_expired(1.0) == []
    assert _given(scatter, 1.0) == {}
    scatter.poll_expired(1.2)
    assert _given(scatter, 1.2) == {2: [1, 2]}


def test_who_is_discredited_while_it_is_not_heard_of_counts_no_more_when_it_is_again() -> None:
    gone, here = members = [_member(number, chunks=5) for number in (1, 2)]
    scatter = _ending(*members)
    for chunk in (1, 2, 3, 4):
        _take(scatter, here, chunk, 5.0) if chunk > 2 else _take(scatter, gone, chunk, 0.1)
    scatter.poll_expired(5.5)
    scatter.discredit(1)
    _take(scatter, gone, 3, 6.0)
    assert [scatter.holders(chunk) for chunk in range(5)] == [1, 0, 0, 1, 1]


def test_who_was_late_gets_one_at_a_time_until_it_arrives() -> None:
    one = _member(1)
    scatter = _scatter(one)
    _given(scatter)
    scatter.give_back(1, [0, 1], 0.0)
    assert _given(scatter, REST_FIRST_S / 2) == {}
    assert _given(scatter, REST_FIRST_S) == {1: [0]}
    _take(scatter, one, 0, 3.0)
    assert _given(scatter, 3.0) == {1: [1, 2]}


def test_who_is_late_each_time_rests_twice_as_long_up_to_half_a_minute() -> None:
    scatter, now = _scatter(_member(1)), 0.0
    for late in range(9):
        given = scatter.fill(now)
        scatter.give_back(1, [each.chunk for each in given], now)
        rest = min(REST_MAX_S, REST_FIRST_S * 2**late)
        assert scatter.fill(now + 0.99 * rest) == []
        now += rest


def test_what_a_leaver_held_is_not_free_while_somebody_takes_it() -> None:
    holder, one, two = _member(1, held=[0]), _member(2), _member(3)
    scatter = _scatter(holder, one, two)
    assert scatter.assign_urgent(2, 0, 0.0) is not None
    scatter.remove(1)
    given = [chunk for chunks in _given(scatter).values() for chunk in chunks]
    assert given
    assert 0 not in given


def test_what_is_not_under_way_cannot_be_given_back() -> None:
    scatter = _scatter(_member(1), _member(2))
    _given(scatter)
    assert scatter.give_back(1, [1, 50], 0.0) == []
    assert scatter.give_back(9, [0], 0.0) == []
    assert scatter.give_back(1, [0], 0.0) == [0]


def test_what_only_the_dead_had_is_fetched_again() -> None:
    dead, alive = _member(1, held=range(20)), _member(2, held=range(15))
    scatter = _scatter(dead, alive)
    assert _given(scatter) == {1: [20, 22], 2: [21, 23]}
    scatter.remove(1)
    _take(scatter, alive, 21)
    assert _given(scatter) == {2: [15, 16]}
    scatter.remove(1)


def test_what_was_let_go_of_is_fetched_again() -> None:
    one, two, leecher = _member(1, held=range(20)), _member(2, held=range(20)), _member(3, held=[9], mode="leecher")
    scatter = _scatter(one, two, leecher)
    one.held.discard(7)
    scatter.handle_gone(one, [7])
    scatter.handle_gone(leecher, [9])
    assert (scatter.holders(7), scatter.holders(9)) == (1, 2)
    two.held.discard(7)
    scatter.handle_gone(two, [7])
    scatter.remove(3)
    scatter.add(_member(4))
    assert 7 in [each.chunk for each in scatter.fill(0.0)]


def test_a_leecher_takes_only_where_nobody_else_does() -> None:
    leecher, peer = _member(1, mode="leecher"), _member(2)
    scatter = _scatter(leecher, peer)
    assert _given(scatter) == {2: [0, 1]}
    scatter.remove(2)
    assert _given(scatter) == {1: [0, 1]}
    _take(scatter, leecher, 0)
    assert scatter.holders(0) == 0
    assert 0 not in scatter.open_of(1)


def test_two_leechers_each_get_everything() -> None:
    members = [_member(1, port=0), _member(2, mode="leecher")]
    scatter = _scatter(*members)
    for _ in range(3 * CHUNKS):
        _given(scatter)
        for member in members:
            for chunk in scatter.open_of(member.id)[:1]:
                _take(scatter, member, chunk)
    assert not any(member.wanted for member in members)


def test_what_is_needed_is_assigned_whoever_is_said_to_have_it() -> None:
    scatter = _scatter(_member(1, held=range(CHUNKS)), _member(2))
    assert scatter.assign_urgent(2, 50, 0.0) is not None
    assert scatter.assign_urgent(2, 50, 0.0) is None
    assert scatter.assign_urgent(1, 51, 0.0) is None, "it does not want it"
    assert scatter.assign_urgent(9, 51, 0.0) is None
    scatter.handle_damaged(52)
    assert scatter.assign_urgent(2, 52, 0.0) is None
    for chunk in range(CHUNKS):
        scatter.assign_urgent(2, chunk, 0.0)
    assert len(scatter.open_of(2)) == NEED_AHEAD_MAX


def test_what_only_the_discredited_say_they_have_is_fetched() -> None:
    liar, other = _member(1, held=range(CHUNKS)), _member(2)
    scatter = _scatter(liar, other)
    assert _given(scatter) == {}
    liar.discredited = True
    scatter.discredit(1)
    scatter.discredit(1)
    assert 2 in _given(scatter)
    assert scatter.holders(5) == 0
    _take(scatter, other, 0)
    assert scatter.holders(0) == 1
    scatter.remove(1)
    assert scatter.holders(0) == 1


def test_a_chunk_the_origin_cannot_read_is_left_out_for_good() -> None:
    one = _member(1, held=[1])
    scatter = _scatter(one)
    scatter.handle_damaged(0)
    scatter.handle_damaged(1)
    assert _given(scatter) == {1: [2, 3]}
    scatter.remove(1)
    scatter.add(_member(2))
    assert _given(scatter) == {2: [2, 3]}


@pytest.mark.parametrize("chunks", [0, 1, 5000])
def test_images_of_any_size_are_dealt_to_the_end(chunks: int) -> None:
    one = _member(1, chunks=chunks)
    scatter = _scatter(one, chunks=chunks)
    order: list[int] = []
    while given := _given(scatter):
        order += given[1]
        for chunk in scatter.open_of(1):
            _take(scatter, one, chunk)
    assert order == list(range(chunks))
    assert scatter.assigned == chunks


steps = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "have", "gone", "back", "urgent"]), st.integers(1, 6), st.integers(0, 19)
    ),
    max_size=80,
)


@settings(max_examples=80, deadline=None)
@given(steps, st.integers(1, 3), st.integers(1, 20))
def test_whatever_happens_a_chunk_is_under_way_once_and_the_books_agree(
    moves: list[tuple[str, int, int]], streams: int, window: int
) -> None:
    scatter = _scatter(streams=streams, window=window, chunks=20)
    here: dict[int, Member] = {}
    now = 0.0
    for kind, number, chunk in moves:
        now += 0.7
        member = here.get(number)
        if kind == "join":
            here[number] = _member(number, held=range(chunk), mode="leecher" if number == 6 else "peer", chunks=20)
            scatter.add(here[number])
        elif kind == "leave":
            scatter.remove(number)
            here.pop(number, None)
        elif kind == "have" and member is not None:
            _take(scatter, member, chunk, now)
        elif kind == "gone" and member is not None and member.held.discard(chunk):
            scatter.handle_gone(member, [chunk])
        elif kind == "back":
            scatter.give_back(number, [chunk], now)
        elif kind == "urgent":
            scatter.assign_urgent(number, chunk, now)
        scatter.poll_expired(now)
        for assignment in scatter.fill(now):
            assert not scatter.holders(assignment.chunk)
            assert assignment.chunk in here[assignment.member].wanted
        under_way = [each for member in here for each in scatter.open_of(member)]
        assert len(set(under_way)) == len(under_way) == scatter.under_way
        for each in range(20):
            counted = [other for number, other in here.items() if other.serves and not scatter._takers[number].hushed]
            assert scatter.holders(each) == sum(each in other.held for other in counted)
            taker = scatter.taker_of(each)
            assert (taker is not None) == (each in under_way)


def test_who_can_have_something_from_a_group_s_members_is_assigned_nothing_while_that_goes_on() -> None:
    fed, alone = _member(1), _member(2, held=[7])
    bystander = _bystander(3, held=[6])
    scatter = _scatter(fed, alone, bystander)
    scatter.handle_have(bystander, [7], 5.0)
    fed.wanted, alone.wanted = ChunkSet.of(CHUNKS, [7, 20]), ChunkSet.of(CHUNKS, [21])
    assert _given(scatter, 5.1) == {2: [21]}  # nobody has what this one lacks
    assert _given(scatter, 5.0 + FED_S) == {1: [20]}  # nothing came for a while


def test_who_stood_by_and_was_complete_already_feeds_nobody() -> None:
    other = _member(3, held=[6])
    scatter = _scatter(_member(1), other)
    scatter.handle_have(other, [7], 5.0)
    assert 1 in _given(scatter, 5.1)


def test_who_is_sent_to_faster_takes_no_more_than_its_part() -> None:
    members = [_member(number, chunks=400) for number in range(1, 9)]
    fast = members[0]
    scatter = _scatter(*members, chunks=400)
    _given(scatter)
    for _ in range(20):  # ten chunks of its come while one comes to each of the others
        for _ in range(10):
            for chunk in scatter.open_of(fast.id)[:1]:
                _take(scatter, fast, chunk)
                _given(scatter)
        for member in members[1:]:
            _take(scatter, member, scatter.open_of(member.id)[0])
            _given(scatter)
    took = {taker.member.id: taker.served for taker in scatter}
    assert max(took.values()) - min(took.values()) <= 2


def test_only_one_waits_for_those_who_took_less() -> None:
    members = [_member(number, chunks=400) for number in range(1, 9)]
    scatter = _scatter(*members, chunks=400)
    _given(scatter)
    for _ in range(3):
        for member in members[:3]:
            for chunk in scatter.open_of(member.id):
                _take(scatter, member, chunk)
            _given(scatter)
    assert sum(not scatter.open_of(member.id) for member in members) <= 1


def test_who_verifies_nothing_while_others_do_is_given_nothing() -> None:
    quiet, lively = _member(1), _member(2)
    scatter = _scatter(quiet, lively)
    _given(scatter)
    for member in (quiet, lively):
        _take(scatter, member, scatter.open_of(member.id)[0], now=1.0)
    _take(scatter, quiet, scatter.open_of(quiet.id)[0], now=1.0)
    _take(scatter, lively, scatter.open_of(lively.id)[0], now=1.1 + 2 * QUIET_S)
    assert set(_given(scatter, now=1.1 + 2 * QUIET_S)) == {lively.id}
    # When nobody verifies anything, nobody is left out.
    assert quiet.id in _given(scatter, now=2.0 + 5 * QUIET_S)


def test_one_that_stops_taking_holds_nobody_up() -> None:
    members = [_member(number, chunks=400) for number in range(1, 5)]
    scatter = _scatter(*members, chunks=400)
    _given(scatter)
    now = 0.0
    for _ in range(30):
        now += 0.1
        for member in members[1:]:
            for chunk in scatter.open_of(member.id)[:1]:
                _take(scatter, member, chunk, now)
        _given(scatter, now)
    took = {taker.member.id: taker.served for taker in scatter}
    assert took[1] == 0
    assert sum(took.values()) > 30


def test_who_comes_late_has_no_claim_on_what_others_took_before() -> None:
    members = [_member(number, chunks=400) for number in range(1, 4)]
    scatter = _scatter(*members, chunks=400)
    _given(scatter)
    for _ in range(10):
        for member in members:
            _take(scatter, member, scatter.open_of(member.id)[0])
            _given(scatter)
    late = _member(4, chunks=400)
    scatter.add(late)
    given: set[int] = set()
    for _ in range(4):
        given |= set(_given(scatter))
        for member in (*members, late):
            for chunk in scatter.open_of(member.id)[:1]:
                _take(scatter, member, chunk)
    assert given == {1, 2, 3, 4}


def test_who_does_not_believe_somebody_is_assigned_what_nobody_else_holds_for_a_while() -> None:
    liar, honest = _member(1, held=range(CHUNKS)), _member(2, held=range(4, CHUNKS))
    doubting, other = _member(3), _member(4)
    scatter = _scatter(liar, honest, doubting, other)
    scatter.handle_damaged(1)
    assert _given(scatter) == {}
    scatter.doubt(3, [1, 77], 0.0)
    assert _given(scatter) == {3: [0, 2]}
    for chunk in (0, 2):
        doubting.held.add(chunk)
        doubting.wanted.discard(chunk)
    scatter.handle_have(doubting, (0, 2), DOUBTED_S - 1)
    scatter.remove(1)
    scatter.add(liar)
    assert _given(scatter, DOUBTED_S - 1) == {3: [3]}
    scatter.give_back(3, [3], DOUBTED_S - 1)
    assert _given(scatter, DOUBTED_S) == {}
