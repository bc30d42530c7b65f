"""What a row is to reach, and whether it does: two columns that every scenario with a goal writes alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.scenario import Row

__all__ = ["REACHED", "TO_REACH", "at_least", "at_most", "gain_row", "reached_of"]

TO_REACH, REACHED = "to reach", "reached"
YES, NO = "yes", "NO"

Figures = Mapping[str, float | str | None]


def at_most(value: float | None, goal: float, *, unit: str = "", counts: bool = True) -> dict[str, float | str | None]:
    """Columns that say what is to be reached at most, and whether `value` does.

    None was not measured. A transfer that does not count (`counts`) reaches nothing, however fast it was.
    """
    return {TO_REACH: f"≤ {goal:g}{unit}", REACHED: _word(counts and value is not None and value <= goal)}


def at_least(value: float | None, goal: float, *, unit: str = "", counts: bool = True) -> dict[str, float | str | None]:
    """The same for a figure that must not be smaller."""
    return {TO_REACH: f"≥ {goal:g}{unit}", REACHED: _word(counts and value is not None and value >= goal)}


def gain_row(label: str, gain: float, goal: float) -> Row:
    """A row of its own for how many times better one row is than another, and how many it should be."""
    return Row(label=label, figures={"ratio": gain, **at_least(gain, goal)})


def reached_of(rows: Iterable[Figures]) -> dict[str, float | str]:
    """For a summary: how many of the rows that have a goal reach it; empty if none has."""
    judged = [figures[REACHED] for figures in rows if REACHED in figures]
    return {REACHED: f"{judged.count(YES)} of {len(judged)}"} if judged else {}


def _word(good: bool) -> str:
    return YES if good else NO
