from __future__ import annotations

import pytest

from bench.simnet.swarm.bound import fluid_bound_s


def test_equal_links_need_what_one_link_needs() -> None:
    assert fluid_bound_s(100, origin_bytes_per_s=10, up=[10] * 8, down=[10] * 8) == 10


@pytest.mark.parametrize(
    ("up", "down", "link", "seconds"),
    [
        ([10] * 4, [10, 10, 10, 2], 0.0, 50.0),  # the slowest receiver
        ([0] * 4, [10] * 4, 0.0, 40.0),  # nobody gives
        ([10] * 4, [10] * 4, 5.0, 20.0),  # the link of a subnet
    ],
)
def test_the_narrowest_place_decides(up: list[float], down: list[float], link: float, seconds: float) -> None:
    assert fluid_bound_s(100, origin_bytes_per_s=10, up=up, down=down, subnet_link_bytes_per_s=link) == seconds


@pytest.mark.parametrize(
    ("joined_at", "seconds"),
    [
        ([0.0, 0.0, 3.0], 13.0),  # who comes last still needs its own link's time
        ([3.0, 0.0, 0.0], 20.0),  # who comes late is faster than the slowest of the first
    ],
)
def test_nobody_is_done_before_its_own_link_has_carried_the_image(joined_at: list[float], seconds: float) -> None:
    down = [10, 5 if joined_at[0] else 10, 10]
    assert fluid_bound_s(100, origin_bytes_per_s=10, up=[10] * 3, down=down, joined_at=joined_at) == seconds
