from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from client.proto.claims import Claims
from core.wantmap import WantMap

CHUNKS = 12
LANES = ("a", "b", "c")


def test_a_chunk_that_changes_hands_leaves_the_share_it_was_in() -> None:
    claims = Claims(WantMap(4))
    assert claims.give("a", [0, 1, 2]) == 3
    assert claims.give("b", [2, 3]) == 2
    assert (list(claims.share("a")), list(claims.share("b"))) == ([0, 1], [2, 3])
    assert claims.owner(2) == "b"
    assert claims.unclaimed == []


def test_what_is_not_wanted_is_given_to_nobody() -> None:
    want = WantMap(4)
    want.discard(1)
    claims = Claims(want)
    assert claims.give("a", range(4)) == 3
    assert 1 not in claims.share("a")


def test_a_lane_that_ended_leaves_its_chunks_unclaimed() -> None:
    claims = Claims(WantMap(3))
    claims.give("a", [0, 1])
    claims.close("a")
    claims.close("a")
    assert claims.unclaimed == [0, 1, 2]
    assert claims.lanes == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["give", "have", "close", "tidy"]),
            st.sampled_from(LANES),
            st.sets(st.integers(0, CHUNKS - 1)),
        )
    )
)
def test_no_chunk_has_two_claims_and_none_outlives_its_want(steps: list[tuple[str, str, set[int]]]) -> None:
    want = WantMap(CHUNKS)
    claims = Claims(want)
    for what, lane, chunks in steps:
        match what:
            case "give":
                claims.give(lane, chunks)
            case "have":
                for chunk in chunks:
                    want.discard(chunk)
                    claims.discard(chunk)
            case "close":
                claims.close(lane)
            case _:
                want.discard(min(chunks, default=0))
                claims.tidy()
        shares = [chunk for name in claims.lanes for chunk in claims.share(name)]
        assert len(shares) == len(set(shares))
        assert set(shares) | set(claims.unclaimed) == set(want)
        assert all(claims.owner(chunk) is not None for chunk in shares)
