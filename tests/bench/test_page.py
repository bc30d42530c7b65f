"""The page shows every figure with the command that made it, and first of all what is reached and what is not."""

from __future__ import annotations

from bench.goals import at_most
from bench.page import page
from bench.results import RESULTS, load_results, to_result
from bench.scenario import Outcome, Row, Scenario


def _nothing(_: object) -> Outcome:
    raise NotImplementedError


SCENARIO = Scenario(name="example", question="How fast?", run=_nothing, size=1, goal="fast")
OUTCOME = Outcome(
    rows=[
        Row(label="ours", figures={"s": 1.5, "MB/s": None}),
        Row(label="theirs", note="not installed"),
        Row(label="ours, lossy", figures={"s": 3.0, "ratio": 1.0519, **at_most(1.0519, 1.05)}),
        Row(label="a|b", figures={"copies": 1.25, **at_most(1.25, 1.3, unit=" copies")}),
    ],
    material="nothing",
    summary={"ratio": 2.0},
)
RESULT = to_result(
    SCENARIO,
    OUTCOME,
    command="python -m bench example",
    runs=3,
    size=1,
    machine={"cpu": "one", "kernel": "6", "commit": "abc"},
)


def test_every_figure_is_shown_with_its_command_and_machine() -> None:
    text = page([RESULT])
    for expected in ("`python -m bench example`", "| ours | 1.5 | - |", "not installed", "How fast?", "Linux 6"):
        assert expected in text


def test_goals_come_first_with_digits_enough_to_tell_a_miss() -> None:
    goals, _, rest = page([RESULT]).partition("## example")
    assert "| [example](#example) | ours, lossy | 1.052 | ≤ 1.05 | **NO** | abc |" in goals
    assert "| [example](#example) | a\\|b | 1.25 | ≤ 1.3 copies | yes | abc |" in goals
    assert "theirs" not in goals
    assert "theirs" in rest


def test_an_unproven_run_says_so() -> None:
    outcome = Outcome(rows=[], material="", ok=False)
    assert "not proven" in page([to_result(SCENARIO, outcome, command="", runs=1, size=1, machine={})])


def test_pictures_are_shown_and_what_was_not_measured_is_named() -> None:
    other = Scenario(name="other", question="And this?", run=_nothing, size=1)
    text = page([RESULT], plots={"example": "img/example.svg"}, others=[SCENARIO, other])
    assert "![How fast?](img/example.svg)" in text
    assert "And this? (`python -m bench other --save`)" in text
    assert "bench example --save" not in text


def test_the_kept_results_make_a_page() -> None:
    assert "## multicast-room" in page(load_results(RESULTS))
