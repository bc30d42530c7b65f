"""A gate lanes pass before each chunk, beside their turns: where whose turn it is is not all that counts."""

from __future__ import annotations

from typing import Protocol

from transports.unicast.lane import Lane

__all__ = ["LaneGate"]


class LaneGate(Protocol):
    """Who may begin a chunk now, whosever turn it is. All methods are called on the lane thread."""

    @property
    def opens_at(self) -> float:
        """When `handle_timer` has something to do."""

    def ask(self, lane: Lane, now: float) -> bool:
        """`lane` has a chunk to send. False: it waits until `poll_granted` names it."""

    def spend(self, lane: Lane, count: int, now: float) -> None:
        """It began a chunk of `count` bytes."""

    def leave(self, lane: Lane, now: float) -> None:
        """It has nothing to send, or is gone; harmless when repeated."""

    def handle_timer(self, now: float) -> None: ...
    def poll_granted(self) -> int | None:
        """Number of a lane that may begin since it asked."""
