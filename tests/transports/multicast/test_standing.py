from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.arena import Arena
from transports.multicast.standing import Standing


def standing(**tracker: int) -> Standing:
    figures = SimpleNamespace(overflow=tracker.pop("overflow", 0), passed=3)
    reception: Any = SimpleNamespace(tracker=SimpleNamespace(**tracker), figures=figures, free_slots=1)
    counters = SimpleNamespace(mended_symbols=5, rejoins=1, report_errors=0)
    receiver: Any = SimpleNamespace(
        counters=counters, calls_refused=4, intake=SimpleNamespace(counters=SimpleNamespace(forged=5, odd=2, trusted=9))
    )
    return Standing(reception, receiver, 10.0)


@pytest.mark.parametrize(
    ("figures", "loss"),
    [
        ({"lost": 0, "span": 0}, 0.0),
        ({"lost": 50, "span": 1000}, 0.05),
        ({"lost": 50, "span": 1000, "overflow": 30}, 0.02),
        ({"lost": 50, "span": 1000, "overflow": 900}, 0.0),
    ],
)
def test_what_the_host_dropped_is_not_the_networks_loss(figures: dict[str, int], loss: float) -> None:
    assert standing(**figures).network_loss == pytest.approx(loss)


def test_rates_are_since_the_last_message_and_backlog_is_what_waits_for_the_disk() -> None:
    one, arena = standing(lost=0, span=100), Arena(slot_bytes=8, slots=4)
    arena.try_acquire()
    arena.try_acquire()
    one.handle_bytes(2_000_000)
    health = one.health(12.0, missing=7, arena=arena)
    assert (health.missing_chunks, health.rate_bytes_per_s, health.backlog) == (7, 1_000_000, 0.25)
    assert health.forged == 7
    assert one.health(13.0, missing=7, arena=arena).rate_bytes_per_s == 0
    state = cast("dict[str, Any]", one.state())
    assert (state["passed_for_want_of_memory"], state["limit_calls"], state["trusted"]) == (3, 4, 9)
