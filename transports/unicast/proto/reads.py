"""What one lane asked for and was not sent yet, and the credits its receiver granted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable

import msgspec

from core.errors import ProtocolError
from transports.unicast.proto.limits import MAX_CREDITS, MAX_QUEUED_CHUNKS

__all__ = ["Read", "ReadQueue"]


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk asked for."""

    message: int
    """Of the READ it came in."""
    handle: int
    chunk: int
    cost: int
    """Credits it takes."""


class ReadQueue:
    """First asked, first sent, as far as credits reach. A chunk too dear for the balance is not overtaken: the
    receiver's order is its disk's order."""

    def __init__(self) -> None:
        self._reads: deque[Read] = deque()
        self.balance = 0
        """Credits granted and not spent."""

    def __len__(self) -> int:
        return len(self._reads)

    @property
    def ready(self) -> bool:
        """True when a chunk could be sent now."""
        return bool(self._reads) and self._reads[0].cost <= self.balance

    def upcoming(self, limit: int) -> list[Read]:
        """The next few, for read-ahead."""
        return [self._reads[n] for n in range(min(limit, len(self._reads)))]

    def grant(self, credits: int) -> None:
        """The receiver made room. ProtocolError above MAX_CREDITS: no receiver has that much memory to give."""
        if self.balance + credits > MAX_CREDITS:
            raise ProtocolError(f"credits granted beyond {MAX_CREDITS}")
        self.balance += credits

    def add(self, reads: Iterable[Read]) -> None:
        """Queue what a READ asks for; all or nothing. ProtocolError above MAX_QUEUED_CHUNKS."""
        new = list(reads)
        if len(self._reads) + len(new) > MAX_QUEUED_CHUNKS:
            raise ProtocolError(f"more than {MAX_QUEUED_CHUNKS} chunks asked for at once")
        self._reads.extend(new)

    def refuse(self, cost: int) -> None:
        """A chunk is not queued after all: the credits meant for it are taken back, as in `drop`."""
        self.balance = max(0, self.balance - cost)

    def take(self) -> Read:
        """The next chunk to send, paid for. Call only when `ready`."""
        read = self._reads.popleft()
        self.balance -= read.cost
        return read

    def drop(self, handle: int, chunks: Collection[int] | None = None) -> list[Read]:
        """Forget what is queued on `handle` (0: on all), or only `chunks` of it. Returns what was dropped.

        The credits meant for it are taken back: the receiver reuses that memory for other requests and pays again.
        """
        return self._split(
            lambda read: (not handle or read.handle == handle) and (chunks is None or read.chunk in chunks)
        )

    def _split(self, goes: Callable[[Read], bool]) -> list[Read]:
        dropped: list[Read] = []
        kept: deque[Read] = deque()
        for read in self._reads:
            (dropped if goes(read) else kept).append(read)
        self._reads = kept
        self.balance = max(0, self.balance - sum(read.cost for read in dropped))
        return dropped
