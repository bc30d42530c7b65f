"""Progress of a long command: a bar on a terminal, a line now and then otherwise."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from core.units import human_bytes

__all__ = ["Advance", "progress_of"]

Advance = Callable[[int, int | None, str], None]
"""Called with bytes done, bytes in all if known, and a word on what is special."""

LINE_EVERY_S = 5.0


@contextlib.contextmanager
def progress_of(title: str, *, quiet: bool = False) -> Iterator[Advance]:
    """Show progress on standard error while the block runs."""
    if quiet:
        yield lambda done, total, note: None
    elif sys.stderr.isatty():
        with _bar(title) as advance:
            yield advance
    else:
        yield _lines(title)


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, note="")

        def advance(done: int, total: int | None, note: str) -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield advance


def _lines(title: str) -> Advance:
    last = time.monotonic()

    def advance(done: int, total: int | None, note: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_EVERY_S:
            return
        last = now
        share = f" of {human_bytes(total)} ({100 * done // max(total, 1)} %)" if total else ""
        sys.stderr.write(f"{title}: {human_bytes(done)}{share}{' ' + note if note else ''}\n")

    return advance
