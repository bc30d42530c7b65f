"""Places of downloads: who is sent to now, and who waits. Pure.

A client that reads nothing keeps its place until it is dropped, so no address has more than a part of them, and who
waits at an address that has fewest comes first. Memory is bounded by how many may wait, in all and at one address.
"""

from __future__ import annotations

from collections import Counter, deque

from core.errors import BusyError

__all__ = ["SHARE", "WAITING_MAX", "WAITING_PER_ADDRESS_MAX", "Places"]

SHARE = 4
"""An address has at most one in so many places, and one at least."""
WAITING_MAX = 256
"""Downloads that wait; more are told to come again …"""
WAITING_PER_ADDRESS_MAX = 64
"""… and beyond so many of one address those of that address."""


class Places:
    """Downloads are named by a number that is never used again."""

    def __init__(self, places: int) -> None:
        """`places` is how many are sent to at once."""
        self._free = places
        self._most = max(1, places // SHARE)
        self._address: dict[int, str] = {}
        """Of everybody here."""
        self._waiting: dict[int, None] = {}
        """In the order they came."""
        self._held: Counter[str] = Counter()
        """Places, by address."""
        self._granted: deque[int] = deque()
        self.refused = 0
        """Downloads told to come again."""

    @property
    def waiting(self) -> int:
        """Downloads without a place."""
        return len(self._waiting)

    def handle_asked(self, download: int, address: str) -> None:
        """One more; `poll_granted` names it when it has its place. BusyError if too many wait."""
        beside = sum(self._address[each] == address for each in self._waiting)
        if len(self._waiting) >= WAITING_MAX or beside >= WAITING_PER_ADDRESS_MAX:
            self.refused += 1
            raise BusyError("too many downloads wait for their turn", hint="try again later")
        self._address[download] = address
        self._waiting[download] = None
        self._grant()

    def handle_left(self, download: int) -> None:
        """It ended, or waits no more."""
        address = self._address.pop(download)
        if download in self._waiting:
            del self._waiting[download]
            return
        self._free += 1
        self._held[address] -= 1
        if not self._held[address]:
            del self._held[address]
        self._grant()

    def poll_granted(self) -> int | None:
        """A download that has its place since; it may have left meanwhile."""
        return self._granted.popleft() if self._granted else None

    def _grant(self) -> None:
        while self._free:
            able = [each for each in self._waiting if self._held[self._address[each]] < self._most]
            if not able:
                return
            download = min(able, key=lambda each: self._held[self._address[each]])
            del self._waiting[download]
            self._free -= 1
            self._held[self._address[download]] += 1
            self._granted.append(download)
