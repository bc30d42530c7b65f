"""The rarest chunk first, inside the window, and never one that is in hand."""

from __future__ import annotations

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
