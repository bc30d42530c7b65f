"""What is sent unasked: nothing where the wire is the limit, and elsewhere what hardly anybody asks to exceed."""

from __future__ import annotations

import random

import numpy as np
import pytest

from transports.multicast.proto.foresight import (
    ASK_AGAIN,
    ASK_AT_END,
    SHARE_MAX,
    SPARE_MAX,
    UNUSED_LEAST,
    spare_symbols,
    symbols_ahead,
)
from transports.multicast.proto.layout import Layout
from transports.multicast.proto.members import Members

LAYOUT = Layout(4 << 20, 1448)
"""16 blocks of 181 or 182 symbols."""


def room(*losses: float) -> Members:
    members = Members()
    for number, loss in enumerate(losses):
        members.add(number, bytes(32), 0.0).loss = loss
    return members


def test_nothing_is_sent_unasked_where_the_wire_is_the_limit() -> None:
    assert symbols_ahead(LAYOUT, room(*[0.01] * 8), unused=UNUSED_LEAST / 2, disks=False) == 0


def test_nor_where_nothing_is_lost_or_nobody_is_there() -> None:
    assert symbols_ahead(LAYOUT, room(*[0.0] * 8), unused=0.5, disks=True) == 0
    assert symbols_ahead(LAYOUT, room(), unused=0.5, disks=True) == 0


@pytest.mark.parametrize("loss", [0.0005, 0.002, 0.01])
@pytest.mark.parametrize("count", [1, 8, 30])
def test_few_blocks_need_more_and_one_less_would_not_do(loss: float, count: int) -> None:
    ahead = symbols_ahead(LAYOUT, room(*[loss] * count), unused=0.5, disks=False)
    rng = random.Random(3)
    need = [sum(rng.random() < loss for _ in range(182)) for _ in range(20 * LAYOUT.blocks * count)]
    short = [sum(lost > sent for lost in need) / 20 for sent in (ahead, ahead - 1)]
    assert short[0] <= 1.5 * ASK_AGAIN
    assert short[1] >= 0.6 * ASK_AGAIN


def test_hosts_that_hold_the_rate_are_reason_enough() -> None:
    assert symbols_ahead(LAYOUT, room(*[0.01] * 8), unused=0.0, disks=True) > 0


def test_one_bad_cable_does_not_make_the_others_take_more() -> None:
    good = symbols_ahead(LAYOUT, room(*[0.01] * 8), unused=0.5, disks=False)
    assert symbols_ahead(LAYOUT, room(*[0.01] * 7, 0.3), unused=0.5, disks=False) == good


def test_of_two_the_better_one_counts() -> None:
    assert symbols_ahead(LAYOUT, room(0.0, 0.01), unused=0.5, disks=False) == 0


def test_there_is_a_limit_for_whatever_is_lost() -> None:
    assert symbols_ahead(LAYOUT, room(*[1.0] * 8), unused=0.5, disks=False) == pytest.approx(182 * SHARE_MAX, abs=1)


@pytest.mark.parametrize("loss", [0.002, 0.01, 0.05])
@pytest.mark.parametrize("most", [1, 4, 10])
def test_at_the_end_hardly_anybody_asks_again_and_one_less_would_not_do(loss: float, most: int) -> None:
    spare = spare_symbols(np.array([1, most, 0], dtype=np.int32), room(*[loss] * 8))
    rng = random.Random(5)

    def ask_again(more: int) -> float:
        """Members of the eight that lose more than that, on the average."""
        return sum(sum(rng.random() < loss for _ in range(most + more)) > more for _ in range(40_000)) / 5_000

    assert ask_again(spare) <= 1.5 * ASK_AT_END
    assert spare == 0 or ask_again(spare - 1) >= 0.6 * ASK_AT_END


def test_nothing_is_spared_where_nothing_is_lost_and_there_is_a_limit() -> None:
    due = np.array([3, 0], dtype=np.int32)
    assert spare_symbols(due, room(*[0.0] * 8)) == 0
    assert spare_symbols(due, room(*[0.0] * 3, 0.5)) == 0, "one bad cable does not make the others take more"
    assert spare_symbols(due, room(*[0.9] * 8)) == SPARE_MAX
