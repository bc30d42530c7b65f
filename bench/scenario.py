"""A scenario: one question, asked of us and of the tools in use today on the same input in the same run."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import UsageError

__all__ = ["Options", "Outcome", "Row", "Scenario", "choose_scenarios", "find_scenario", "scenarios"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to run a scenario."""

    runs: int
    """Measured runs of each row; a warm-up run comes before them where the scenario says so."""
    size: int
    """Bytes of material (used space of the file system)."""
    folder: Path
    """Empty folder for everything the scenario makes; removed afterwards by the caller."""
    say: Callable[[str], None]
    """Tell the person what is going on; never part of the result."""
    clients: int | None = None
    """Clients to simulate, where a scenario can; None: its own choice."""
    loss: float | None = None
    """Share of packets to lose on every path, where a scenario can; None: its own choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the result's table."""

    label: str
    figures: Mapping[str, float | str | None] = field(default_factory=dict)
    """Column title (unit included) to value; None where there is none."""
    note: str = ""
    """Why a figure is missing, or what to know when reading it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a scenario found."""

    rows: Sequence[Row]
    material: str
    """The input, in words."""
    ok: bool = True
    """False when something that was to be proven was not (a target that differs, a failed transfer)."""
    summary: Mapping[str, float | str] = field(default_factory=dict)
    """The answer to the question: ratios and whether the goal is reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One file of `bench/scenarios` or a folder of it, found by its `SCENARIO`."""

    name: str
    question: str
    run: Callable[[Options], Outcome]
    size: int
    """Default bytes of material."""
    runs: int = 3
    goal: str = ""
    """What the project promises, if it promises something."""
    missing: Callable[[], str] = str
    """Says why it cannot run on this machine; an empty text if it can."""


def scenarios() -> dict[str, Scenario]:
    """Every scenario there is, by name."""
    return dict(sorted((one.name, one) for one in _found("bench.scenarios")))


def _found(package: str) -> Iterator[Scenario]:
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        if module.ispkg:
            yield from _found(module.name)
        else:
            scenario: Scenario = importlib.import_module(module.name).SCENARIO
            yield scenario


def choose_scenarios(word: str) -> list[Scenario]:
    """The scenario called `word`, or all whose names begin with `word-`. UsageError naming the known ones."""
    family = [one for name, one in scenarios().items() if name.startswith(f"{word}-")]
    return family if family and word not in scenarios() else [find_scenario(word)]


def find_scenario(name: str) -> Scenario:
    """The scenario called `name`. Raises UsageError naming the known ones."""
    known = scenarios()
    if name not in known:
        raise UsageError(f"no scenario {name!a}", hint=f"known: {', '.join(known)}")
    return known[name]
