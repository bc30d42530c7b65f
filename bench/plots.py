"""Curves of results as SVG, drawn by matplotlib (dependency group `bench`) from the same files as the tables."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.results import Result, ResultRow

__all__ = ["PLOTS", "can_plot", "make_plots"]

SIZE_INCHES = (7.0, 3.6)


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def make_plots(results: Sequence[Result], folder: Path) -> dict[str, Path]:
    """Draw the pictures of those results that have one; returns the files by scenario.

    Without matplotlib nothing is drawn, and pictures that exist are named.
    """
    found = {}
    for result in results:
        path = folder / f"{result.scenario}.svg"
        if result.scenario in PLOTS and can_plot():
            _draw(result, PLOTS[result.scenario], path)
        if result.scenario in PLOTS and path.exists():
            found[result.scenario] = path
    return found


# matplotlib is optional, so that a type checker must do without it: what comes from it is Any.
def _draw(result: Result, plot: Callable[[Any, Result], None], path: Path) -> None:
    matplotlib: Any = importlib.import_module("matplotlib")
    figures: Any = importlib.import_module("matplotlib.figure")
    settings = {"svg.hashsalt": result.scenario, "svg.fonttype": "none", "font.size": 9}
    with matplotlib.rc_context(settings):
        figure = figures.Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        plot(axes, result)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", linewidth=0.4, alpha=0.6)
        machine = result.machine
        axes.set_title(f"{machine.get('cores')} cores, {machine.get('commit')}, {machine.get('date')}", fontsize=7)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without date and with a fixed salt the same result gives the same file.
        figure.savefig(path, format="svg", metadata={"Date": None})


def _scale(axes: Any, result: Result) -> None:
    rows = [row for row in result.rows if "clients" in row.figures]
    clients = _numbers(rows, "clients")
    axes.plot(clients, _numbers(rows, "s"), marker="o", label="ogcast: last client done")
    axes.plot(clients, _numbers(rows, "last client began at s"), marker=".", label="last client has begun")
    axes.plot(clients, _numbers(rows, "limit s"), linestyle="--", color="black", label="what the wire needs")
    axes.set_xlabel("clients")
    axes.set_ylabel("seconds")
    axes.set_ylim(bottom=0)
    axes.set_xticks(clients)
    axes.legend(frameon=False)


def _wire(axes: Any, result: Result) -> None:
    rows = [row for row in result.rows if "loss %" in row.figures]
    losses = _numbers(rows, "loss %")
    axes.plot(losses, _numbers(rows, "packets / packets of the image"), marker="o", label="ogcast")
    axes.plot(losses, _numbers(rows, "theory, k = 188"), linestyle="--", color="black", label="theory, parity, k = 188")
    axes.plot(losses, _numbers(rows, "theory, originals again"), linestyle=":", color="grey", label="originals again")
    axes.set_xlabel("packets lost on each path, %")
    axes.set_ylabel("packets sent per packet of the image")
    axes.legend(frameon=False)


def _room(axes: Any, result: Result) -> None:
    """Rows are labelled `loss 1%: tool`."""
    parts = [(*row.label.partition(": ")[::2], row) for row in result.rows if "ratio" in row.figures]
    losses = list(dict.fromkeys(loss for loss, _, _ in parts))
    tools = [tool for tool in dict.fromkeys(tool for _, tool, _ in parts) if "over" not in tool]
    width = 0.8 / len(tools)
    for number, tool in enumerate(tools):
        bars = {loss: row for loss, one, row in parts if one == tool}
        places = [position + number * width for position, loss in enumerate(losses) if loss in bars]
        axes.bar(places, _numbers([bars[loss] for loss in losses if loss in bars], "ratio"), width, label=tool)
    axes.axhline(1, color="black", linestyle="--", linewidth=0.8)
    axes.set_xticks([position + width * (len(tools) - 1) / 2 for position in range(len(losses))], losses)
    axes.set_ylabel("seconds over what the wire needs")
    axes.legend(frameon=False)


def _bars(axes: Any, result: Result) -> None:
    """One bar for each row with a ratio."""
    rows = [row for row in result.rows if "ratio" in row.figures]
    axes.bar([row.label.rpartition(": ")[2] for row in rows], _numbers(rows, "ratio"), 0.6)
    axes.axhline(1, color="black", linestyle="--", linewidth=0.8)
    axes.set_ylabel("seconds over what the wire needs")


def _curve(axes: Any, result: Result) -> None:
    """Ratios over the number of peers; published ones of others as single points."""
    rows = [row for row in result.rows if "peers" in row.figures and "come late" not in row.label]
    ours = [row for row in rows if "published" not in row.label]
    axes.plot(_numbers(ours, "peers"), _numbers(ours, "ratio"), marker="o", label="ogcast, virtual time")
    for row in rows:
        if row not in ours:
            label = row.label.partition(":")[0]
            axes.plot(_numbers([row], "peers"), _numbers([row], "ratio"), marker="x", linestyle="", label=label)
    axes.axhline(1, color="black", linestyle="--", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("peers")
    axes.set_ylabel("seconds over the bound")
    axes.legend(frameon=False)


def _numbers(rows: Sequence[ResultRow], title: str) -> list[float]:
    values = [row.figures.get(title) for row in rows]
    return [float(value) if isinstance(value, int | float) else float("nan") for value in values]


PLOTS: dict[str, Callable[[Any, Result], None]] = {
    "multicast-scale": _scale,
    "multicast-wire": _wire,
    "multicast-room": _room,
    "multicast-gigabit": _room,
    "p2p-room": _bars,
    "p2p-gigabit": _bars,
    "p2p-scale": _scale,
    "p2p-simnet": _curve,
}
"""What is drawn of which scenario."""
