"""Progress bar on a terminal (rich): state, bytes, rate, time left, and what is the brake."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from client.events import human_seconds, sentence, summary
from core.units import human_bytes

__all__ = ["BarReporter"]


class BarReporter:
    """Events on a terminal: one bar per command, lines above it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Show the event."""
        if name == "progress":
            self._show(fields)
        elif name == "done":
            self.close()
            sys.stdout.write(summary(fields) + "\n")
            sys.stdout.flush()
        elif (line := sentence(name, fields)) is not None:
            self._console.print(line, markup=False)

    def close(self) -> None:
        """Take the bar off the screen."""
        self._progress.stop()

    def _show(self, fields: Mapping[str, Any]) -> None:
        left = fields["left_s"]
        figures = (
            f"{human_bytes(fields['done_bytes'])} of {human_bytes(fields['total_bytes'])}  "
            f"{human_bytes(fields['rate_bytes_per_s'])}/s  "
            f"{human_seconds(left) if left is not None else '-:--'} left"
            f"{'  brake: ' + fields['brake'] if fields['brake'] else ''}"
        )
        if self._task is None:
            self._task = self._progress.add_task(fields["state"], total=1.0, figures="")
            self._progress.start()
        total = max(1, fields["total_bytes"])
        done = fields["done_bytes"] / total
        self._progress.update(self._task, description=fields["state"], completed=done, figures=figures)
