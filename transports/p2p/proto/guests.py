"""Guests of a listening peer: strangers that just connected, and members, each with one lane.

A storm of strangers must not keep members out, so strangers have a part of the lanes only, and who has not proved
anything for a second makes room for the next.
"""

from __future__ import annotations

from collections import Counter

import msgspec

__all__ = ["LANES_MAX", "LANES_PER_ADDRESS_MAX", "STRANGERS_MAX", "STRANGER_S", "Guests"]

LANES_MAX = 64
"""Connections in all."""
STRANGERS_MAX = 32
"""Of those that have not proved who they are."""
LANES_PER_ADDRESS_MAX = 32
"""One peer needs one; several may sit behind one address."""
STRANGER_S = 1.0
"""A stranger may keep its place so long when others want it."""


class _Guest(msgspec.Struct):
    address: str
    since: float
    name: str = ""
    """Proven; empty: a stranger."""


class Guests:
    """Lanes are named by a number. Pure: the caller says the time, and closes what it is told to."""

    def __init__(self) -> None:
        self._guests: dict[int, _Guest] = {}
        self._addresses: Counter[str] = Counter()
        self._names: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._guests)

    @property
    def strangers(self) -> int:
        """Those that proved nothing yet."""
        return len(self._guests) - len(self._names)

    def make_room(self, address: str, now: float) -> int | None:
        """Before `handle_connected`: a lane to be closed to make room for one from `address`, if that is needed and
        possible. Close it and call again."""
        if self.has_room(address):
            return None
        crowded = self._addresses[address] >= LANES_PER_ADDRESS_MAX
        for lane, guest in self._guests.items():  # the oldest first
            if not guest.name and now >= guest.since + STRANGER_S and (not crowded or guest.address == address):
                return lane
        return None

    def has_room(self, address: str) -> bool:
        """Another connection from `address` may be taken."""
        return (
            len(self._guests) < LANES_MAX
            and self.strangers < STRANGERS_MAX
            and self._addresses[address] < LANES_PER_ADDRESS_MAX
        )

    def handle_connected(self, lane: int, address: str, now: float) -> None:
        """A connection was taken."""
        self._guests[lane] = _Guest(address=address, since=now)
        self._addresses[address] += 1

    def handle_proven(self, lane: int, name: str) -> int | None:
        """It is `name`. Returns an older lane of the same, whose end was not noticed: it is to be ended."""
        guest = self._guests[lane]
        if guest.name:
            return None
        guest.name = name
        before, self._names[name] = self._names.get(name), lane
        if before is not None:
            self._guests[before].name = f"{name} before {lane}"
            self._names[self._guests[before].name] = before
        return before

    def handle_closed(self, lane: int) -> None:
        """It is gone; harmless when repeated."""
        guest = self._guests.pop(lane, None)
        if guest is None:
            return
        self._addresses[guest.address] -= 1
        if not self._addresses[guest.address]:
            del self._addresses[guest.address]
        if guest.name:
            del self._names[guest.name]
