"""Results as files: one JSON per scenario, with the facts of the machine and the command that made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.scenario import Outcome, Scenario

__all__ = ["RESULTS", "Result", "ResultRow", "columns", "load_results", "save", "text_of", "to_result"]

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
