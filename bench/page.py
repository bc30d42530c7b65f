"""docs/benchmarks.md, made of the kept results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.goals import REACHED, TO_REACH
from bench.results import Result, ResultRow, columns, text_of
from bench.scenario import Scenario

__all__ = ["page"]

RATIO = "ratio"
"""The column a goal speaks of where a row has it; else it is the row's first."""
NO_FIGURE = (TO_REACH, REACHED)


def page(results: Sequence[Result], *, plots: Mapping[str, str] | None = None, others: Sequence[Scenario] = ()) -> str:
    """docs/benchmarks.md: first every goal and whether it is reached, then every figure and the command that made it.

    `plots` are paths of pictures, relative to the page, by scenario. `others` are scenarios that may have no result;
    those are named with their command, so that nobody takes a missing figure for a hidden one.
    """
    lines = [
        "# Benchmarks",
        "",
        "Made by `python -m bench report` from `bench/results/`; do not edit. Medians of the runs named, ratios from",
        "one run on one machine. A peer that was not installed is named as such. Other machines give other figures:",
        "run the command to have yours.",
    ]
    lines += _goals(results)
    for result in results:
        lines += _section(result, (plots or {}).get(result.scenario))
    measured = {result.scenario for result in results}
    missing = [scenario for scenario in others if scenario.name not in measured]
    if missing:
        lines += ["", "## Not measured yet", ""]
        lines += [f"- {one.question} (`python -m bench {one.name} --save`)" for one in missing]
    return "\n".join(lines) + "\n"


def _goals(results: Sequence[Result]) -> list[str]:
    """A table of every row that has a goal; what is not reached is set in bold."""
    lines = [
        "",
        "## Goals",
        "",
        "Every row below that has something to reach, of the kept run of its scenario.",
        "",
        "| scenario | | measured | to reach | reached | commit |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        for row in result.rows:
            goal, reached = (row.figures.get(title) for title in NO_FIGURE)
            if isinstance(goal, str) and isinstance(reached, str):
                word = reached if reached == "yes" else f"**{reached}**"
                cells = [f"[{result.scenario}](#{result.scenario})", _cell(row.label), _judged(row), goal, word]
                lines.append("| " + " | ".join([*cells, result.machine.get("commit", "")]) + " |")
    return lines


def _section(result: Result, plot: str | None) -> list[str]:
    lines = ["", f"## {result.scenario}", "", result.question, ""]
    if result.goal:
        lines += [f"Goal: {result.goal}", ""]
    if plot:
        lines += [f"![{result.question}]({plot})", ""]
    titles = columns(result.rows)
    lines += ["| | " + " | ".join([*titles, "note"]) + " |", "|---|" + "---|" * (len(titles) + 1)]
    for row in result.rows:
        cells = [text_of(row.figures.get(title)) for title in titles]
        lines.append(f"| {_cell(row.label)} | " + " | ".join([*cells, _cell(row.note)]) + " |")
    lines += ["", *(f"- {name}: **{text_of(value)}**" for name, value in result.summary.items())]
    machine = result.machine
    lines += [
        f"- Command: `{result.command}`; {result.runs} runs; material: {result.material}",
        f"- Machine: {machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('memory_gib')} GiB, "
        f"Linux {machine.get('kernel')}, Python {machine.get('python')}, commit {machine.get('commit')}, "
        f"{machine.get('date')}",
    ]
    if not result.ok:
        lines.append("- **Something was not proven in this run; the figures do not count.**")
    return lines


def _judged(row: ResultRow) -> str:
    """The figure a goal is about, with four digits: three would not tell 1.052 from the 1.05 it should be."""
    title = RATIO if RATIO in row.figures else next(title for title in row.figures if title not in NO_FIGURE)
    value = row.figures[title]
    return f"{value:.4g}" if isinstance(value, float) else text_of(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
