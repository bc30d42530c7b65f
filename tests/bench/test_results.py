"""A result is kept with the machine's facts and the command that made it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.results import RESULTS, columns, load_results, save, text_of, to_result
from bench.scenario import Outcome, Row, Scenario


def _nothing(_: object) -> Outcome:
    raise NotImplementedError


SCENARIO = Scenario(name="example", question="How fast?", run=_nothing, size=1, goal="fast")
OUTCOME = Outcome(
    rows=[Row(label="ours", figures={"s": 1.5, "MB/s": None}), Row(label="theirs", note="not installed")],
    material="nothing",
    summary={"ratio": 2.0},
)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    result = to_result(
        SCENARIO, OUTCOME, command="python -m bench example", runs=3, size=1, machine={"cpu": "one", "kernel": "6"}
    )
    save(result, tmp_path)
    assert load_results(tmp_path) == [result]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), ("x", "x"), (0.123456, "0.123"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_three_digits_are_enough(value: float | str | None, text: str) -> None:
    assert text_of(value) == text


def test_columns_keep_their_order() -> None:
    rows = to_result(SCENARIO, OUTCOME, command="", runs=1, size=1, machine={}).rows
    assert columns(rows) == ["s", "MB/s"]


def test_every_kept_result_can_be_read() -> None:
    assert load_results(RESULTS)
