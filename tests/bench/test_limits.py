"""The limits agree with the figures published for them."""

from __future__ import annotations

import pytest

from bench.limits import originals_again, seconds_on_wire


def test_a_wire_carries_its_rate() -> None:
    assert seconds_on_wire(256 << 20, 200e6) == pytest.approx(10.737, abs=1e-3)


@pytest.mark.parametrize(("loss", "receivers", "sends"), [(0.001, 30, 1.030), (0.01, 100, 1.644), (0.1, 100, 2.740)])
def test_sending_originals_again_costs_more(loss: float, receivers: int, sends: float) -> None:
    assert originals_again(loss, receivers) == pytest.approx(sends, abs=1e-3)


def test_without_loss_each_packet_is_sent_once() -> None:
    assert originals_again(0.0, 1000) == 1.0
