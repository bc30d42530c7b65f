"""A goal has two directions, and what was not measured or does not count reaches none."""

from __future__ import annotations

from bench.goals import at_least, at_most, gain_row, reached_of


def test_goals_have_two_directions() -> None:
    assert at_most(1.05, 1.08) == {"to reach": "≤ 1.08", "reached": "yes"}
    assert at_most(1.09, 1.08)["reached"] == "NO"
    assert at_most(None, 1.08)["reached"] == "NO"
    assert at_most(1.0, 1.08, counts=False)["reached"] == "NO"
    assert at_least(0.96, 0.95)["reached"] == "yes"
    assert at_least(0.96, 0.95, counts=False)["reached"] == "NO"


def test_a_gain_is_a_row_with_a_least_value() -> None:
    row = gain_row("rate over theirs", 1.9, 2)
    assert row.label == "rate over theirs"
    assert row.figures == {"ratio": 1.9, "to reach": "≥ 2", "reached": "NO"}


def test_a_summary_counts_only_rows_with_a_goal() -> None:
    rows = [{"s": 1.0}, {"s": 1.0, **at_most(1.0, 2.0)}, {"s": 3.0, **at_most(3.0, 2.0)}]
    assert reached_of(rows) == {"reached": "1 of 2"}
    assert reached_of([{"s": 1.0}]) == {}
