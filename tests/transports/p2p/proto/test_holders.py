"""Rarity is the number of neighbours that hold a chunk, whatever they say in which order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transports.p2p.proto.holders import Holders

CHUNKS = 12
ACT = st.tuples(st.sampled_from(["add", "remove", "leave", "join"]), st.integers(0, 3), st.integers(0, CHUNKS - 1))


@given(st.lists(ACT, max_size=40))
def test_rarity_follows_what_was_said(acts: list[tuple[str, int, int]]) -> None:
    holders, model = Holders(CHUNKS), dict[int, set[int]]()
    for act, peer, chunk in acts:
        if act == "join":
            holders.join(peer)
            model.setdefault(peer, set())
        elif act == "leave":
            holders.leave(peer)
            model.pop(peer, None)
        elif peer in model:
            (holders.add if act == "add" else holders.remove)(peer, [chunk])
            (model[peer].add if act == "add" else model[peer].discard)(chunk)
    for peer in range(4):
        assert holders.count(peer) == (len(model[peer]) if peer in model else None)
    for chunk in range(CHUNKS):
        assert holders.rarity[chunk] == sum(chunk in held for held in model.values())
        assert all(holders.holds(peer, chunk) == (chunk in held) for peer, held in model.items())


def test_only_what_a_neighbour_can_give_can_be_spared() -> None:
    holders = Holders(CHUNKS)
    assert not holders.can_spare([0])
    holders.join(1)
    holders.join(2)
    holders.add(1, [0, 1])
    holders.add(2, [2])
    assert holders.can_spare([0, 1, 2])
    assert not holders.can_spare([0, 3])
    holders.remove(1, [1])
    assert not holders.can_spare([0, 1, 2])
    holders.leave(2)
    assert not holders.can_spare([2])
