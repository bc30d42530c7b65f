"""What waits in a member's socket, as far as it says that packets come faster than they are taken."""

from __future__ import annotations

__all__ = ["QUEUE_TIMES", "SocketQueue"]

QUEUE_TIMES = 2
"""A queue in the socket counts as backlog by so many times its share of the chunk memory: repairs wait at its end, and
the chunks they are for hold memory meanwhile, so that with half as much in the queue it soon is taken."""


class SocketQueue:
    """What comes faster than it is taken shows here first.

    What waited at the first look came before anybody could take it, and says nothing of how fast that is done: of a
    queue that only becomes shorter since, nothing counts.
    """

    def __init__(self, memory_bytes: int) -> None:
        """`memory_bytes` is all of the chunk memory."""
        self._memory_bytes = memory_bytes
        self._old_bytes: int | None = None
        self.backlog = 0.0
        """From 0 to 1."""

    def handle_length(self, queued_bytes: int) -> None:
        """So much waits now."""
        self._old_bytes = queued_bytes if self._old_bytes is None else min(self._old_bytes, queued_bytes)
        self.backlog = min(1.0, QUEUE_TIMES * (queued_bytes - self._old_bytes) / self._memory_bytes)
