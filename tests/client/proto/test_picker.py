from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.proto.picker import SLOW_LINK_BYTES_PER_S, Facts, Way, pick, pick_instead

CAST = Way(name="cast", group=True)
SWARM = Way(name="swarm", peers=True)
PLAIN = Way(name="plain")
ALL = (CAST, SWARM, PLAIN)


@pytest.mark.parametrize(
    ("ways", "facts", "name", "why"),
    [
        (ALL, Facts(), "plain", "no other client"),
        ((CAST, SWARM), Facts(), "swarm", "no other client"),
        ((CAST,), Facts(), "cast", "no other client"),
        (ALL, Facts(sessions=2, near=2), "cast", "2 clients take this image"),
        (ALL, Facts(sessions=2, near=2, cached=True), "swarm", "2 clients of this subnet"),
        (ALL, Facts(sessions=2, near=1, cached=True), "cast", "one sending"),
        (ALL, Facts(sessions=2, near=2, cached=True, others={"cast": 1}), "cast", "1 client already gets"),
        (ALL, Facts(sessions=3, near=3, cached=True), "cast", "3 clients take this image"),
        (ALL, Facts(sessions=30, near=1, others={"cast": 29}), "cast", "29 clients already get"),
        ((SWARM, PLAIN), Facts(sessions=30, near=8), "swarm", "8 clients of this subnet"),
        ((SWARM, PLAIN), Facts(sessions=30, near=1), "plain", "nobody else in this subnet"),
        ((SWARM,), Facts(sessions=30, near=1), "swarm", "nothing else"),
        (ALL, Facts(sessions=9, near=9, wireless=True), "swarm", "wireless"),
        (ALL, Facts(sessions=9, near=1, wireless=True), "plain", "wireless"),
        (ALL, Facts(sessions=9, near=9, link_bytes_per_s=10e6 / 8), "swarm", "10 Mbit/s"),
        (ALL, Facts(sessions=9, near=9, link_bytes_per_s=SLOW_LINK_BYTES_PER_S), "cast", "9 clients"),
        (ALL, Facts(sessions=9, near=9, link_bytes_per_s=49e6 / 8), "swarm", "49 Mbit/s"),
        (ALL, Facts(sessions=9, near=9, link_bytes_per_s=54e6 / 8), "cast", "9 clients"),
        ((CAST,), Facts(sessions=9, near=9, wireless=True), "cast", "nothing else"),
    ],
)
def test_the_table(ways: tuple[Way, ...], facts: Facts, name: str, why: str) -> None:
    choice = pick(ways, facts)
    assert choice is not None
    assert choice.name == name
    assert why in choice.reason


def test_nothing_is_picked_from_nothing() -> None:
    assert pick((), Facts(sessions=3)) is None
    assert pick_instead((CAST,), Facts(sessions=3)) is None


def test_instead_of_a_group_come_peers_where_there_are_any_then_the_repository() -> None:
    near, alone = pick_instead(ALL, Facts(sessions=4, near=2)), pick_instead(ALL, Facts(sessions=4, near=1))
    assert near is not None
    assert alone is not None
    assert (near.name, alone.name) == ("swarm", "plain")


@given(
    st.lists(st.sampled_from(ALL), min_size=1, max_size=3, unique=True),
    st.builds(
        Facts,
        sessions=st.integers(1, 40),
        near=st.integers(1, 40),
        others=st.dictionaries(st.sampled_from(["cast", "swarm", "plain"]), st.integers(0, 40)),
        link_bytes_per_s=st.none() | st.floats(1e5, 1e9),
        wireless=st.booleans(),
        cached=st.booleans(),
    ),
)
def test_one_of_the_ways_is_picked_whatever_the_facts_and_a_sentence_says_why(ways: list[Way], facts: Facts) -> None:
    choice = pick(ways, facts)
    assert choice is not None
    assert choice.name in {way.name for way in ways}
    assert choice.reason
    assert choice == pick(ways, facts)
