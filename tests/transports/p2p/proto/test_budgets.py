"""A subnet is sent what its budget allows, and another one does not feel it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.p2p.proto.budgets import BURST_S, KEPT_MAX, SubnetBudgets

CHUNK = 1_000_000


def _sent(budgets: SubnetBudgets, lanes: dict[int, str], *, seconds: float) -> dict[int, list[float]]:
    """When each lane, which always has a chunk, began one, on a link without a limit of its own."""
    began: dict[int, list[float]] = {lane: [] for lane in lanes}
    now, asking = 0.0, list(lanes)
    while now < seconds:
        while asking:
            lane = asking.pop(0)
            if budgets.ask(lane, lanes[lane], now):
                budgets.spend(lane, CHUNK, now)
                began[lane].append(now)
                asking.append(lane)
        while (granted := budgets.poll_granted()) is not None:
            budgets.spend(granted, CHUNK, now)
            began[granted].append(now)
            asking.append(granted)
        if not asking:
            assert now < budgets.opens_at < float("inf")
            now = budgets.opens_at
            budgets.handle_timer(now)
    return began


@pytest.mark.parametrize("chunks_per_s", [0.5, 3])
def test_each_subnet_gets_its_average_shared_by_its_lanes(chunks_per_s: float) -> None:
    budgets = SubnetBudgets(bytes_per_s=CHUNK * chunks_per_s, exceptions={"fast": 4 * CHUNK * chunks_per_s})
    began = _sent(budgets, {1: "a", 2: "a", 3: "a", 4: "b", 5: "fast"}, seconds=60.0)
    allowed = 60 * chunks_per_s
    spare = chunks_per_s * BURST_S + 2
    assert allowed - 1 <= sum(len(began[lane]) for lane in (1, 2, 3)) <= allowed + spare
    assert allowed - 1 <= len(began[4]) <= allowed + spare
    assert 4 * allowed - 1 <= len(began[5]) <= 4 * (allowed + spare)
    assert max(len(began[lane]) for lane in (1, 2, 3)) - min(len(began[lane]) for lane in (1, 2, 3)) <= 1
    assert budgets.held_back > 0


def test_where_there_is_no_budget_nobody_waits() -> None:
    budgets = SubnetBudgets(bytes_per_s=0, exceptions={"slow": 1.0})
    assert budgets.limited
    assert not SubnetBudgets(bytes_per_s=0, exceptions={"a": 0.0}).limited
    for lane in range(100):
        assert budgets.ask(lane, "elsewhere", 0.0)
        budgets.spend(lane, 1 << 40, 0.0)
    assert budgets.opens_at == float("inf")
    assert budgets.ask(1, "slow", 0.0)


def test_who_goes_lets_the_next_one_in() -> None:
    budgets = SubnetBudgets(bytes_per_s=CHUNK, exceptions={})
    assert budgets.ask(1, "a", 0.0)
    assert not budgets.ask(2, "a", 0.0)
    assert not budgets.ask(3, "a", 0.0)
    budgets.leave(1, 0.0)
    budgets.leave(2, 0.0)
    assert budgets.poll_granted() == 3
    assert budgets.poll_granted() is None
    budgets.spend(2, CHUNK, 0.0)  # it is not its turn: nothing is counted
    assert budgets.ask(3, "a", 0.0)
    assert budgets.held_back == 0


def test_invented_subnets_are_forgotten() -> None:
    budgets = SubnetBudgets(bytes_per_s=CHUNK, exceptions={})
    for number in range(3 * KEPT_MAX):
        assert budgets.ask(7, f"s{number}", 0.0)
        budgets.spend(7, 1, 0.0)
    assert len(budgets._subnets) <= KEPT_MAX


@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "spend", "leave", "time"]), st.integers(0, 4), st.integers(0, 3)),
        max_size=80,
    )
)
def test_whatever_lanes_do_one_begins_at_a_time_and_nobody_is_stuck(steps: list[tuple[str, int, int]]) -> None:
    budgets = SubnetBudgets(bytes_per_s=CHUNK, exceptions={})
    now = 0.0
    for act, lane, much in steps:
        if act == "ask":
            budgets.ask(lane, "ab"[lane % 2], now)
        elif act == "spend":
            budgets.spend(lane, much * CHUNK, now)
        elif act == "leave":
            budgets.leave(lane, now)
        else:
            now += much
            budgets.handle_timer(now)
        while budgets.poll_granted() is not None:
            pass
    for lane in range(5):
        budgets.leave(lane, now)
    now += 1e6
    assert budgets.ask(9, "a", now)
    assert budgets.ask(10, "b", now)
    assert budgets.opens_at == float("inf")


def test_who_asks_for_another_subnet_waits_in_the_first_no_more() -> None:
    budgets = SubnetBudgets(bytes_per_s=CHUNK, exceptions={})
    assert budgets.ask(1, "a", 0.0)
    budgets.spend(1, CHUNK, 0.0)
    assert not budgets.ask(2, "a", 0.0)
    assert budgets.ask(2, "b", 0.0)
    budgets.spend(2, CHUNK, 0.0)
    assert not budgets.ask(3, "a", 0.0)
    budgets.handle_timer(60.0)
    assert budgets.poll_granted() == 3
