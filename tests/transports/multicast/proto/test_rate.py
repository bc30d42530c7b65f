from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.multicast.proto.rate import Pace, RateControl, RateLimits, share_budget

CAP = 10e6


def control(*, adaptive: bool = True) -> RateControl:
    return RateControl(RateLimits(cap_bytes_per_s=CAP, adaptive=adaptive), now=0.0)


def feed(rate: RateControl, loss: float, backlog: float = 0.0, *, times: int = 1, start: float = 0.25) -> float:
    for step in range(times):
        rate.handle_group(loss=loss, backlog=backlog, now=start + 0.25 * step)
    return rate.rate_bytes_per_s


def test_the_pace_is_the_rate() -> None:
    pace, now = Pace(1e6, 0.0), 0.0
    for _ in range(100):
        now = pace.ready_at()
        pace.spend(10_000, now)
    assert pace.ready_at() == pytest.approx(1.0)


def test_little_lateness_is_caught_up_much_is_not() -> None:
    pace = Pace(1e6, 0.0)
    pace.spend(1000, 0.005)
    assert pace.ready_at() == pytest.approx(0.001)
    pace.spend(1000, 5.0)
    assert pace.ready_at() == pytest.approx(4.991)


def test_a_slow_rate_makes_short_trains() -> None:
    assert Pace(125e6, 0.0).burst_packets(1514, 44) == 44
    assert Pace(1.25e6, 0.0).burst_packets(1514, 44) == 2
    assert Pace(1000, 0.0).burst_packets(1514, 44) == 1


def test_a_fixed_rate_follows_nobody() -> None:
    rate = control(adaptive=False)
    assert feed(rate, 0.5, 1.0) == CAP
    assert not rate.due(100.0)


def test_loss_slows_down_and_its_end_speeds_up() -> None:
    rate = control()
    assert feed(rate, 0.02) == pytest.approx(0.85 * CAP)
    assert rate.limited_by == "loss"
    assert feed(rate, 0.003, start=1.0) == pytest.approx(0.85 * CAP)
    assert feed(rate, 0.0, times=10, start=2.0) == CAP
    assert rate.limited_by == "cap"


def test_disks_that_cannot_follow_slow_down() -> None:
    rate = control()
    assert feed(rate, 0.0, 0.9) == pytest.approx(0.85 * CAP)
    assert rate.limited_by == "disk"


def test_loss_that_no_rate_cures_is_lived_with() -> None:
    rate = control()
    slow = feed(rate, 0.02, times=4)
    assert feed(rate, 0.02, times=40, start=5.0) == CAP > slow
    assert feed(rate, 0.05, start=20.0) < CAP


def test_never_below_the_floor_nor_above_the_share() -> None:
    rate = RateControl(RateLimits(cap_bytes_per_s=CAP, adaptive=True, floor_bytes_per_s=9e6), now=0.0)
    assert feed(rate, 0.5) == 9e6
    rate.handle_share(4e6)
    assert rate.rate_bytes_per_s == 4e6
    assert rate.limited_by == "share"
    rate.handle_share(1e12)
    assert rate.rate_bytes_per_s == 9e6


def test_it_looks_four_times_a_second() -> None:
    rate = control()
    feed(rate, 0.02)
    assert feed(rate, 0.02, start=0.3) == pytest.approx(0.85 * CAP)


def test_shares_follow_weights_and_what_one_leaves_goes_to_the_others() -> None:
    assert share_budget(90.0, [100, 100], [1, 2]) == pytest.approx([30, 60])
    assert share_budget(90.0, [10, 100, 100], [1, 1, 1]) == pytest.approx([10, 40, 40])
    assert share_budget(90.0, [10, 20], [1, 1]) == pytest.approx([10, 20])
    assert share_budget(90.0, [], []) == []


@given(st.lists(st.tuples(st.floats(1, 1e9), st.floats(0.1, 10)), min_size=1, max_size=8), st.floats(1, 1e9))
def test_shares_never_exceed_budget_or_cap(casts: list[tuple[float, float]], total: float) -> None:
    caps = [cap for cap, _ in casts]
    shares = share_budget(total, caps, [weight for _, weight in casts])
    assert sum(shares) <= total * 1.0001
    assert all(share <= cap * 1.0001 for share, cap in zip(shares, caps, strict=True))
    assert sum(shares) >= min(total, sum(caps)) * 0.999
