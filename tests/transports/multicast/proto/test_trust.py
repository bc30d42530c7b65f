"""Trust is earned by good packets, holds for packets in order only, and is harder to earn after each forgery."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.multicast.proto.trust import FIRST_PACKETS, LONGER, Trust, in_order


def given_trust() -> Trust:
    trust = Trust()
    trust.handle_good(FIRST_PACKETS)
    return trust


def test_it_is_given_after_so_many_good_packets_in_a_row() -> None:
    trust = Trust()
    trust.handle_good(FIRST_PACKETS - 1)
    assert not trust.given
    trust.handle_forged()
    trust.handle_good(FIRST_PACKETS - 1)
    assert not trust.given
    trust.handle_good(1)
    assert trust.given


@pytest.mark.parametrize(
    ("sequences", "highest", "ordered"),
    [
        ([11, 12, 13], 10, True),
        ([11, 13, 90_000], 10, True),
        ([11], 10, True),
        ([], 10, False),
        ([10, 11, 12], 10, False),
        ([9, 11, 12], 10, False),
        ([11, 11, 12], 10, False),
        ([11, 13, 12], 10, False),
    ],
)
def test_packets_in_order_are_each_later_than_all_before(sequences: list[int], highest: int, ordered: bool) -> None:
    assert in_order(np.array(sequences, dtype=np.int64), highest) is ordered


def test_a_forgery_takes_it_away_for_sixteen_times_as_long() -> None:
    trust = given_trust()
    trust.handle_forged()
    trust.handle_good(LONGER * FIRST_PACKETS - 1)
    assert not trust.given
    trust.handle_good(1)
    assert trust.given
    trust.handle_forged()
    trust.handle_forged()  # while there is none, it only starts again
    trust.handle_good(LONGER**2 * FIRST_PACKETS - 1)
    assert not trust.given
    trust.handle_good(1)
    assert trust.given


def test_forgeries_that_come_before_it_is_given_only_delay_it() -> None:
    trust = Trust()
    for _ in range(100):
        trust.handle_forged()
    trust.handle_good(FIRST_PACKETS)
    assert trust.given


def test_each_chunk_that_fails_its_digest_takes_it_away_once() -> None:
    trust = given_trust()
    trust.handle_rejected(0)
    assert trust.given
    trust.handle_rejected(2)
    assert not trust.given
    trust.handle_good(LONGER * FIRST_PACKETS)
    trust.handle_rejected(2)
    assert trust.given
    trust.handle_rejected(3)
    assert not trust.given


@given(st.lists(st.tuples(st.integers(0, 100_000), st.booleans()), max_size=40))
def test_whatever_comes_it_is_given_only_when_the_last_so_many_were_good(steps: list[tuple[int, bool]]) -> None:
    trust, since = Trust(), 0
    for count, clean in steps:
        if clean:
            trust.handle_good(count)
        else:
            trust.handle_forged()
        since = since + count if clean else 0
        assert not (trust.given and since < FIRST_PACKETS)
