"""Results as files: one JSON per scenario with the machine's facts, and the page of figures made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.scenario import Outcome, Scenario

__all__ = ["RESULTS", "Result", "ResultRow", "columns", "load_results", "page", "save", "text_of", "to_result"]

RESULTS = Path(__file__).parent / "results"


class ResultRow(msgspec.Struct, kw_only=True, frozen=True):
    """As bench.scenario.Row."""

    label: str
    figures: dict[str, float | str | None] = {}
    note: str = ""


class Result(msgspec.Struct, kw_only=True, frozen=True):
    """One scenario's outcome with everything needed to repeat it."""

    scenario: str
    question: str
    goal: str
    command: str
    runs: int
    size: int
    material: str
    ok: bool
    machine: dict[str, str]
    summary: dict[str, float | str]
    rows: list[ResultRow]


def to_result(
    scenario: Scenario, outcome: Outcome, *, command: str, runs: int, size: int, machine: Mapping[str, str]
) -> Result:
    """Put together what is saved."""
    return Result(
        scenario=scenario.name,
        question=scenario.question,
        goal=scenario.goal,
        command=command,
        runs=runs,
        size=size,
        material=outcome.material,
        ok=outcome.ok,
        machine=dict(machine),
        summary=dict(outcome.summary),
        rows=[ResultRow(label=row.label, figures=dict(row.figures), note=row.note) for row in outcome.rows],
    )


def save(result: Result, folder: Path = RESULTS) -> Path:
    """Write `folder/SCENARIO.json`, replacing the earlier result."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.scenario}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    return path


def load_results(folder: Path = RESULTS) -> list[Result]:
    """Every saved result, by name. Raises msgspec.ValidationError for a file that is none."""
    return [msgspec.json.decode(path.read_bytes(), type=Result) for path in sorted(folder.glob("*.json"))]


def columns(rows: Sequence[ResultRow]) -> list[str]:
    """Titles of all figures, in the order they first appear."""
    return list(dict.fromkeys(title for row in rows for title in row.figures))


def text_of(value: float | str | None) -> str:
    """A figure with three significant digits, or a dash."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def page(results: Sequence[Result], *, plots: Mapping[str, str] | None = None, others: Sequence[Scenario] = ()) -> str:
    """docs/benchmarks.md: every figure with the command that made it.

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
    for result in results:
        lines += ["", f"## {result.scenario}", "", result.question, ""]
        if result.goal:
            lines += [f"Goal: {result.goal}", ""]
        if result.scenario in (plots or {}):
            lines += [f"![{result.question}]({(plots or {})[result.scenario]})", ""]
        titles = columns(result.rows)
        lines += ["| | " + " | ".join([*titles, "note"]) + " |", "|---|" + "---|" * (len(titles) + 1)]
        for row in result.rows:
            cells = [text_of(row.figures.get(title)) for title in titles]
            label, note = (text.replace("|", "\\|") for text in (row.label, row.note))
            lines.append(f"| {label} | " + " | ".join([*cells, note]) + " |")
        lines += [""]
        lines += [f"- {name}: **{text_of(value)}**" for name, value in result.summary.items()]
        machine = result.machine
        lines += [
            f"- Command: `{result.command}`; {result.runs} runs; material: {result.material}",
            f"- Machine: {machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('memory_gib')} GiB, "
            f"Linux {machine.get('kernel')}, Python {machine.get('python')}, commit {machine.get('commit')}, "
            f"{machine.get('date')}",
        ]
        if not result.ok:
            lines += ["- **Something was not proven in this run; the figures do not count.**"]
    measured = {result.scenario for result in results}
    missing = [scenario for scenario in others if scenario.name not in measured]
    if missing:
        lines += ["", "## Not measured yet", ""]
        lines += [f"- {one.question} (`python -m bench {one.name} --save`)" for one in missing]
    return "\n".join(lines) + "\n"
