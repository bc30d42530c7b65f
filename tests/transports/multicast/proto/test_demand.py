from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.multicast.proto.demand import NEARLY_CHUNKS, Demand
from transports.multicast.proto.limits import MAX_MEMBERS

CHUNKS = 6


def flags(*chunks: int) -> np.ndarray:
    wanted = np.zeros(CHUNKS, dtype=np.bool_)
    wanted[list(chunks)] = True
    return wanted


def test_counts_are_how_many_lack_each_chunk() -> None:
    demand = Demand(CHUNKS)
    demand.add(0, flags(0, 1))
    demand.add(9, flags(1, 5))
    assert demand.counts.tolist() == [1, 2, 0, 0, 0, 1]
    assert demand.chunks_wanted == 3


def test_sending_clears_a_chunk_for_all_and_a_later_joiner_wants_it_again() -> None:
    demand = Demand(CHUNKS)
    demand.add(0, flags(1))
    demand.add(1, flags(1))
    assert demand.take(1) == 2
    assert (demand.chunks_wanted, demand.take(1)) == (0, 0)
    demand.add(2, flags(1))
    assert demand.counts[1] == 1
    demand.remove(0)
    assert demand.counts[1] == 1


def test_leaving_takes_only_its_own_wants() -> None:
    demand = Demand(CHUNKS)
    demand.add(0, flags(0, 1))
    demand.add(1, flags(1))
    demand.remove(0)
    demand.remove(77)
    assert demand.counts.tolist() == [0, 1, 0, 0, 0, 0]
    assert demand.chunks_wanted == 1


def test_who_never_wanted_anything_withdraws_nothing() -> None:
    demand = Demand(CHUNKS)
    demand.withdraw_all(9, flags(0, 1))
    assert demand.chunks_wanted == 0


def test_many_are_asked_for_beside_what_is_wanted_already() -> None:
    demand = Demand(CHUNKS)
    demand.add(3, flags(0, 1))
    demand.ask_all(3, flags(1, 4))
    demand.ask_all(17, flags(4))
    assert demand.counts.tolist() == [1, 1, 0, 0, 2, 0]
    assert [demand.is_near(place) for place in (3, 17)] == [True, True]


def test_asking_again_counts_once() -> None:
    demand = Demand(CHUNKS)
    demand.add(3, flags())
    assert demand.ask(3, 4)
    assert not demand.ask(3, 4)
    assert demand.wants(3, 4)
    assert demand.counts[4] == 1
    demand.withdraw(3, 4)
    demand.withdraw(3, 4)
    assert (demand.counts[4], demand.chunks_wanted) == (0, 0)


def test_there_are_only_so_many_places() -> None:
    with pytest.raises(ValueError, match="place"):
        Demand(CHUNKS).add(MAX_MEMBERS, flags())


def test_who_waits_for_few_chunks_is_nearly_done_and_the_one_with_the_fewest_first() -> None:
    demand = Demand(CHUNKS)
    demand.add(0, flags(*range(NEARLY_CHUNKS + 1)))
    assert demand.nearly_done() is None
    demand.add(9, flags(4, 5))
    demand.add(3, flags(3))
    assert demand.nearly_done() == 3
    demand.take(3)
    assert demand.nearly_done() == 4
    demand.withdraw(9, 4)
    assert demand.nearly_done() == 5
    demand.remove(9)
    assert demand.nearly_done() == 0


def test_who_gets_what_it_waited_for_another_way_or_left_is_near_and_no_chunk_is_its_last() -> None:
    demand = Demand(CHUNKS)
    demand.add(9, flags(*range(NEARLY_CHUNKS + 2)))
    assert not demand.is_near(9)
    demand.withdraw_all(9, flags(0, 1, 2))
    assert demand.is_near(9)
    assert demand.nearly_done() == 3
    demand.remove(9)
    assert demand.nearly_done() is None
    demand.add(9, flags(*range(NEARLY_CHUNKS + 2)))
    demand.remove(9)
    assert demand.is_near(9)


def test_who_waits_for_the_fewest_is_named_while_others_wait_too() -> None:
    demand = Demand(CHUNKS)
    assert demand.fewest() is None
    demand.add(0, flags(*range(NEARLY_CHUNKS + 1)))
    assert demand.fewest() is None
    demand.add(9, flags(*range(CHUNKS)))
    assert demand.fewest() == 0
    demand.withdraw_all(9, flags(0, 1, 2))
    assert demand.fewest() == 3
    demand.take(4)
    demand.remove(9)
    assert demand.fewest() is None


operations = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "ask", "withdraw", "withdraw all", "take"]),
        st.integers(0, 20),
        st.integers(0, CHUNKS - 1),
    )
)


@given(operations)
def test_it_is_a_set_of_pairs(steps: list[tuple[str, int, int]]) -> None:
    demand, model = Demand(CHUNKS), set[tuple[int, int]]()
    demand.add(20, flags())
    for what, place, chunk in steps:
        if what == "add":
            demand.add(place, flags(chunk, 0))
            model = {pair for pair in model if pair[0] != place} | {(place, chunk), (place, 0)}
        elif what == "remove":
            demand.remove(place)
            model = {pair for pair in model if pair[0] != place}
        elif what == "ask":
            assert demand.ask(place, chunk) == ((place, chunk) not in model)
            model.add((place, chunk))
        elif what == "withdraw":
            demand.withdraw(place, chunk)
            model.discard((place, chunk))
        elif what == "withdraw all":
            demand.withdraw_all(place, flags(chunk, 1))
            model -= {(place, chunk), (place, 1)}
        else:
            assert demand.take(chunk) == sum(pair[1] == chunk for pair in model)
            model = {pair for pair in model if pair[1] != chunk}
    assert demand.counts.tolist() == [sum(pair[1] == chunk for pair in model) for chunk in range(CHUNKS)]
    assert demand.chunks_wanted == len({chunk for _, chunk in model})
    for chunk in range(CHUNKS):
        assert demand.places(chunk) == sorted(place for place, other in model if other == chunk)
    waits = {place: [chunk for other, chunk in model if other == place] for place, _ in model}
    near = demand.nearly_done()
    assert all(demand.is_near(place) == (len(chunks) <= NEARLY_CHUNKS) for place, chunks in waits.items())
    few = [chunks for chunks in waits.values() if len(chunks) <= NEARLY_CHUNKS]
    fewest = min((len(chunks) for chunks in few), default=0)
    assert near in {min(chunks) for chunks in few if len(chunks) == fewest} or (near is None and not few)
