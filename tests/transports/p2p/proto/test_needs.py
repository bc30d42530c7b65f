"""What lasts is asked for, again and again, a few at a time."""

from __future__ import annotations

from transports.p2p.proto.limits import NEED_AFTER_S
from transports.p2p.proto.needs import NEED_CHUNKS, NEED_LONGEST_S, NEED_PACES, NEED_PACES_MOST_S, Needs
from transports.p2p.proto.pace import Pace


def test_only_what_is_lacking_for_long_is_named() -> None:
    needs = Needs(Pace())
    needs.handle_lacking([1, 2], 0.0)
    assert needs.poll() == []
    needs.handle_lacking([2, 3], NEED_AFTER_S)
    assert needs.poll() == [2]
    assert needs.poll() == []
    needs.handle_lacking(range(100), 10.0)
    needs.handle_lacking(range(100), 20.0)
    assert needs.poll() == list(range(NEED_CHUNKS))


def test_where_chunks_take_long_more_time_is_given_but_not_for_ever() -> None:
    needs = Needs(Pace())
    for _ in range(20):
        needs.handle_arrival(100.0)
    needs.handle_lacking([1], 0.0)
    needs.handle_lacking([1], NEED_LONGEST_S - 0.1)
    assert needs.poll() == []
    needs.handle_lacking([1], NEED_LONGEST_S)
    assert needs.poll() == [1]
    needs.handle_lacking([2], 20.0, starving=True)
    needs.handle_lacking([2], 20.0 + NEED_AFTER_S, starving=True)
    assert needs.poll() == [2]


def test_word_of_a_chunk_may_wait_behind_another_one() -> None:
    """What a lane has begun to send is not interrupted, at 10 Mbit/s for half a minute."""
    for took_s, patience_s in ((0.5, NEED_AFTER_S), (20.0, NEED_PACES * 20.0), (100.0, NEED_PACES_MOST_S)):
        pace = Pace()
        pace.handle_chunk(took_s)
        needs = Needs(pace)
        needs.handle_lacking([1], 0.0)
        needs.handle_lacking([1], patience_s - 0.1)
        assert needs.poll() == []
        needs.handle_lacking([1], patience_s)
        assert needs.poll() == [1]


def test_who_gets_nothing_is_starving_sooner_if_a_neighbour_says_nothing() -> None:
    needs = Needs(Pace())
    assert not needs.is_starving(NEED_AFTER_S - 0.1, idle=True, unheard=False)
    assert needs.is_starving(NEED_AFTER_S, idle=True, unheard=False)
    assert needs.is_starving(0.0, idle=True, unheard=True)
    assert not needs.is_starving(NEED_AFTER_S, idle=False, unheard=True)


def _alone() -> Needs:
    """One that named the first of 40 chunks while nothing came and a neighbour said nothing."""
    needs = Needs(Pace())
    for now in (0.0, NEED_AFTER_S):
        needs.handle_lacking(range(40), now, starving=True, unheard=True)
    assert needs.poll() == list(range(NEED_CHUNKS))
    return needs


def test_alone_the_next_are_named_when_few_are_coming() -> None:
    needs, lacking = _alone(), range(NEED_CHUNKS, 40)
    needs.handle_assigned(range(NEED_CHUNKS))
    assert needs.is_starving(0.0, idle=False, unheard=True)
    needs.handle_lacking(lacking, 2.1, starving=True, unheard=True, coming=NEED_CHUNKS)
    assert needs.poll() == []
    needs.handle_lacking(lacking, 2.2, starving=True, unheard=True, coming=NEED_CHUNKS - 1)
    assert needs.poll() == list(lacking[:NEED_CHUNKS])
    needs.handle_lacking(lacking, 2.3, starving=True, unheard=True)
    assert needs.poll() == []  # those were named just now


def test_nobody_is_alone_whom_repod_assigns_what_was_not_named_or_whose_neighbours_all_speak() -> None:
    needs = _alone()
    needs.handle_assigned([0, 39])
    assert not needs.is_starving(0.0, idle=False, unheard=True)
    needs = _alone()
    needs.handle_lacking(range(NEED_CHUNKS, 40), 2.1)
    assert needs.poll() == []
    assert not needs.is_starving(0.0, idle=False, unheard=True)


def test_who_is_not_starving_or_has_only_neighbours_that_speak_waits_each_time() -> None:
    for starving, unheard in ((True, False), (False, True)):
        needs = Needs(Pace())
        for now in (0.0, NEED_AFTER_S):
            needs.handle_lacking(range(40), now, starving=starving, unheard=unheard)
        assert needs.poll() == list(range(NEED_CHUNKS))
        assert not needs.is_starving(0.0, idle=False, unheard=unheard)
