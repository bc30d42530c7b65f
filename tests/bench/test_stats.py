"""A figure is a median; a ratio is a ratio of medians."""

from __future__ import annotations

import pytest

from bench.stats import ratio, summarise


def test_a_summary_is_the_median_with_its_spread() -> None:
    summary = summarise([3.0, 1.0, 2.0])
    assert (summary.median, summary.low, summary.high, summary.runs) == (2.0, 1.0, 3.0, 3)
    assert summary.spread == 1.0


def test_nothing_measured_is_no_figure() -> None:
    with pytest.raises(ValueError, match="nothing"):
        summarise([])


def test_the_ratio_says_how_many_times_faster_we_are() -> None:
    assert ratio([1.0, 2.0, 1.0], [4.0, 4.0, 9.0]) == 4.0
