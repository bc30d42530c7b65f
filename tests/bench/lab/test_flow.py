"""Gaps and first data are read from samples; noise is no data."""

from __future__ import annotations

from bench.lab.flow import FlowMeter
from bench.lab.rig import Rig
from bench.lab.topology import room


class _Played(Rig):
    """A rig whose hosts receive what the test says."""

    level = 0

    def received_bytes(self, pid: int) -> int:
        return self.level

    def is_member(self, pid: int) -> bool:
        return self.level > 300


def _meter(levels: list[tuple[float, int]]) -> FlowMeter:
    rig = _Played(room(1, rate_bits_per_s=0), name="neverbuilt")
    meter = FlowMeter(rig)
    meter.add("c1", 1)
    for now, level in levels:
        rig.level = level
        meter.sample(now)
    return meter


def test_the_longest_gap_is_within_the_span() -> None:
    meter = _meter([(0.0, 1), (1.0, 5000), (1.1, 9000), (1.2, 9100), (1.5, 9200), (1.6, 20000), (3.0, 20000)])
    assert round(meter.longest_gap_s("c1", after_s=1.0, until_s=1.6), 6) == 0.4
    assert round(meter.longest_gap_s("c1", after_s=1.0, until_s=9), 6) == 1.4
    assert meter.longest_gap_s("c1", after_s=5, until_s=9) == 0.0


def test_many_small_packets_are_no_data() -> None:
    meter = _meter([(0.0, 1), (0.1, 900), (0.2, 1800), (0.3, 2700), (0.4, 3600)])
    assert meter.longest_gap_s("c1", after_s=0.0, until_s=9) == 0.4


def test_first_data_and_the_bytes_of_a_span() -> None:
    meter = _meter([(0.0, 100), (1.0, 200), (2.0, 5000), (3.0, 9000)])
    assert meter.first_s("c1", 4000) == 2.0
    assert meter.first_s("c1", 40000) is None
    assert meter.received_since("c1", 0.5) == 8800
    assert meter.received_since("c1", 9) == 0
    assert meter.received_as_member("c1") == 4000
