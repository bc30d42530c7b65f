"""A result is kept with the machine's facts and the command that made it, and the page shows both."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.results import RESULTS, columns, load_results, page, save, text_of, to_result
from bench.scenario import Outcome, Row, Scenario


def _nothing(_: object) -> Outcome:
    raise NotImplementedError


SCENARIO = Scenario(name="example", question="How fast?", run=_nothing, size=1, goal="fast")
OUTCOME = Outcome(
    rows=[Row(label="ours", figures={"s": 1.5, "MB/s": None}), Row(label="theirs", note="not installed")],
    material="nothing",
    summary={"ratio": 2.0},
)


def test_what_is_saved_is_what_is_loaded_and_shown(tmp_path: Path) -> None:
    result = to_result(
        SCENARIO, OUTCOME, command="python -m bench example", runs=3, size=1, machine={"cpu": "one", "kernel": "6"}
    )
    save(result, tmp_path)
    assert load_results(tmp_path) == [result]
    text = page([result])
    for expected in ("python -m bench example", "| ours | 1.5 | - |", "not installed", "How fast?", "Linux 6"):
        assert expected in text


def test_an_unproven_run_says_so() -> None:
    outcome = Outcome(rows=[], material="", ok=False)
    assert "not proven" in page([to_result(SCENARIO, outcome, command="", runs=1, size=1, machine={})])


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


def test_the_page_shows_pictures_and_names_what_was_not_measured() -> None:
    result = to_result(SCENARIO, OUTCOME, command="", runs=1, size=1, machine={})
    other = Scenario(name="other", question="And this?", run=_nothing, size=1)
    text = page([result], plots={"example": "img/example.svg"}, others=[SCENARIO, other])
    assert "![How fast?](img/example.svg)" in text
    assert "And this? (`python -m bench other --save`)" in text
    assert "bench example --save" not in text
