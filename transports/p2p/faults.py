"""Faults of this program in tasks that nobody waits for: each ends the path, instead of leaving a session waiting."""

from __future__ import annotations

import asyncio

from core.errors import PathError

__all__ = ["fault_of"]


def fault_of(task: asyncio.Task[None]) -> PathError | None:
    """The error to tell of a task that is over; None if it was cancelled, or ended as it should."""
    if task.cancelled() or (error := task.exception()) is None:
        return None
    return PathError(f"a fault of this program in p2p: {error!r}", hint="please report it")
