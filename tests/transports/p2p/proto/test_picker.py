"""The rarest chunk first, inside the window, and never one that is in hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.wantmap import WantMap
from transports.p2p.proto.holders import Holders
from transports.p2p.proto.picker import Phase, Picker


def make(*, window: int = 256) -> tuple[Picker, Holders, WantMap]:
    want, holders = WantMap(20), Holders(20)
    for peer in (1, 2):
        holders.join(peer)
    return Picker(want, holders, seed=5, window=window), holders, want


def test_the_rarest_is_chosen() -> None:
    picker, holders, _ = make()
    holders.add(1, [3, 4])
    holders.add(2, [3])
    assert picker.choose(1) == 4
    picker.set_phase(4, Phase.ASKED)
    assert picker.choose(1) == 3
    picker.reserve([3])
    assert picker.choose(1) is None


def test_what_the_origin_is_not_to_bring_after_all_is_asked_of_neighbours() -> None:
    picker, holders, _ = make()
    holders.add(1, [3])
    picker.reserve([3])
    assert picker.choose(1) is None
    picker.reserve([])
    assert picker.choose(1) == 3


def test_only_what_was_asked_for_is_given_up() -> None:
    picker, holders, _ = make()
    holders.add(1, [3])
    for phase in Phase:
        picker.set_phase(3, phase)
        picker.give_up(3)
        assert picker.phase(3) is (Phase.FREE if phase is Phase.ASKED else phase)


def test_nothing_beyond_the_window_is_chosen_until_it_moves() -> None:
    picker, holders, want = make(window=4)
    holders.add(1, [10])
    assert picker.choose(1) is None
    want.discard_all(range(8))
    for chunk in range(8):
        picker.set_phase(chunk, Phase.DONE)
    assert picker.choose(1) == 10


def test_a_chunk_given_back_is_looked_at_again() -> None:
    picker, holders, _ = make(window=4)
    holders.add(1, [0])
    picker.set_phase(0, Phase.HELD)
    assert picker.choose(1) is None
    picker.set_phase(0, Phase.FREE)
    assert picker.choose(1) == 0


def test_the_window_is_looked_at_again_when_the_map_has_grown() -> None:
    picker, holders, want = make()
    want.discard_all(range(20))
    picker.set_window(256)
    holders.add(1, [2])
    assert picker.choose(1) is None
    want.add(2)
    picker.look_again()
    assert picker.choose(1) == 2


def test_what_was_asked_for_keeps_its_place_in_the_window_and_what_is_in_hand_does_not() -> None:
    picker, _, want = make(window=4)
    picker.set_phase(0, Phase.ASKED)
    picker.set_phase(1, Phase.HELD)
    picker.set_phase(2, Phase.LOST)
    want.discard(3)
    assert picker.window().tolist() == [0, 4, 5, 6]


def test_only_what_is_free_and_wanted_is_usable() -> None:
    picker, _, want = make()
    want.discard(3)
    assert (picker.usable(3), picker.usable(4)) == (False, True)
    for phase in (Phase.ASKED, Phase.HELD, Phase.DONE, Phase.LOST):
        picker.set_phase(4, phase)
        assert not picker.usable(4)


def test_what_none_of_some_peers_holds_is_lacking_if_it_is_free_and_wanted() -> None:
    picker, holders, want = make(window=6)
    holders.add(1, [1])
    holders.add(2, [2])
    assert picker.lacking([1]) == [0, 2, 3, 4, 5]
    picker.set_phase(0, Phase.ASKED)
    assert picker.lacking([1, 2]) == [3, 4, 5]
    picker.window()
    want.discard(4)  # and the window was not looked at since
    assert picker.lacking([1, 2]) == [3, 5]


def test_the_window_is_as_long_as_repod_says_and_never_empty() -> None:
    picker, _, _ = make(window=4)
    picker.set_window(7)
    assert picker.window().tolist() == list(range(7))
    picker.set_window(0)
    assert picker.window().tolist() == [0]


def test_chunks_that_are_as_rare_are_taken_by_peers_in_orders_of_their_own() -> None:
    orders = set()
    for seed in range(4):
        holders = Holders(20)
        picker = Picker(WantMap(20), holders, seed=seed, window=256)
        holders.join(1)
        holders.add(1, range(20))
        order = []
        while (chunk := picker.choose(1)) is not None:
            order.append(chunk)
            picker.set_phase(chunk, Phase.ASKED)
        assert sorted(order) == list(range(20))
        orders.add(tuple(order))
    assert len(orders) == 4


def test_what_is_wanted_no_more_is_not_chosen_though_the_window_has_it() -> None:
    picker, holders, want = make()
    holders.add(1, [3, 4])
    assert 3 in picker.window()
    want.discard_all([3, 4])
    assert picker.choose(1) is None


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "replace", "leave", "phase", "reserve", "window", "unwant", "want"]),
        st.integers(1, 2),
        st.integers(0, 19),
        st.sampled_from(list(Phase)),
    ),
    max_size=30,
)


@given(ACTS)
def test_who_had_nothing_is_looked_at_again_whenever_that_may_have_changed(
    acts: list[tuple[str, int, int, Phase]],
) -> None:
    picker, holders, want = make(window=6)
    reserved: set[int] = set()
    size = 6
    for act, peer, chunk, phase in acts:
        match act:
            case "add":
                holders.join(peer)
                holders.add(peer, [chunk])
            case "remove" if peer in holders:
                holders.remove(peer, [chunk])
            case "replace":
                holders.replace(peer, np.arange(20) >= chunk)
            case "leave":
                holders.leave(peer)
            case "phase":
                picker.set_phase(chunk, phase)
            case "reserve":
                reserved ^= {chunk}
                picker.reserve(reserved)
            case "window":
                size = chunk + 1
                picker.set_window(size)
            case "unwant":
                want.discard(chunk)
            case "want":
                want.add(chunk)
                picker.look_again()
        chosen = [picker.choose(each) for each in holders.peers]
        new = Picker(want, holders, seed=5, window=size)
        for each in range(20):
            new.set_phase(each, picker.phase(each))
        new.reserve(reserved)
        window = set(picker.window().tolist())
        # A chunk that is wanted no more leaves the window when that is looked at next, which may be later here.
        if window >= set(new.window().tolist()):
            assert [each is None for each in chosen] == [new.choose(each) is None for each in holders.peers]
