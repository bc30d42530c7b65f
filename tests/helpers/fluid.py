"""Links as fluids: transfers share the sender's and the receiver's link max-min fairly, as TCP does in the long run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.simnet.clock import Clock

__all__ = ["Fluid", "Transfer"]


@dataclass(slots=True, eq=False)
class Transfer:
    """Bytes under way from one node to another."""

    sender: int
    receiver: int
    left: float
    on_done: Callable[[], None]
    rate: float = 0.0


class Fluid:
    """`up` and `down` give each node's link rate in bytes a second."""

    def __init__(self, clock: Clock, *, up: Callable[[int], float], down: Callable[[int], float]) -> None:
        self._clock = clock
        self._up = up
        self._down = down
        self._transfers: list[Transfer] = []
        self._at = 0.0
        self._version = 0

    def send(self, sender: int, receiver: int, size: float, on_done: Callable[[], None]) -> Transfer:
        """Begin a transfer."""
        self._advance()
        transfer = Transfer(sender, receiver, size, on_done)
        self._transfers.append(transfer)
        self._share()
        return transfer

    def drop(self, node: int) -> None:
        """A node died: what it sends or receives ends, unheard."""
        self._advance()
        self._transfers = [item for item in self._transfers if node not in (item.sender, item.receiver)]
        self._share()

    def _advance(self) -> None:
        passed = self._clock.now - self._at
        self._at = self._clock.now
        for transfer in self._transfers:
            transfer.left -= transfer.rate * passed

    def _share(self) -> None:
        """Fill all links evenly until each transfer is stopped by one; then look when the first ends."""
        room: dict[tuple[str, int], list[float]] = {}
        for item in self._transfers:
            room.setdefault(("up", item.sender), [self._up(item.sender), 0])[1] += 1
            room.setdefault(("down", item.receiver), [self._down(item.receiver), 0])[1] += 1
        todo = list(self._transfers)
        while todo:
            link = min((link for link in room if room[link][1] > 0), key=lambda link: room[link][0] / room[link][1])
            share = room[link][0] / room[link][1]
            kept: list[Transfer] = []
            for item in todo:
                ends = (("up", item.sender), ("down", item.receiver))
                if link not in ends:
                    kept.append(item)
                    continue
                item.rate = share
                for end in ends:
                    room[end][0] = max(0.0, room[end][0] - share)
                    room[end][1] -= 1
            todo = kept
        self._version += 1
        version = self._version
        ends_in = min((max(0.0, item.left) / item.rate for item in self._transfers if item.rate > 0), default=None)
        if ends_in is not None:
            self._clock.at(self._clock.now + ends_in, lambda: self._look(version))

    def _look(self, version: int) -> None:
        if version != self._version:
            return
        self._advance()
        done = [item for item in self._transfers if item.left <= 1.0]
        self._transfers = [item for item in self._transfers if item.left > 1.0]
        self._share()
        for item in done:
            item.on_done()
