"""Turns: which lanes may send now. N clients each at full rate one after another are done sooner, and read their disks
and fill their windows better, than N clients that all crawl.

At most `at_once` lanes hold a turn; the rest wait first come, first served. A lane loses its turn when it has nothing
to send, or when others wait and it has used up its bytes or its time, so that nobody starves.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["NOTICE_EVERY_S", "QUANTUM_BYTES", "QUANTUM_S", "Turns"]

QUANTUM_BYTES = 256 * 1024 * 1024
"""About two seconds of a 1 Gbit/s lane: long enough for a disk to run at full rate, short beside all timeouts."""

QUANTUM_S = 5.0
"""The same for a lane whose client is slow: its turn ends by time."""

NOTICE_EVERY_S = 1.0
"""A waiting lane is told its position at most this often."""


@dataclass(slots=True)
class _Turn:
    since: float
    bytes_left: int


@dataclass(slots=True)
class _Wait:
    told_at: float = float("-inf")
    told: int = 0


class Turns:
    """Lanes are named by any hashable; the same lane may ask again and again. Pure: `now` comes from the caller."""

    def __init__(self, at_once: int) -> None:
        """`at_once` 0: no limit, every lane has a turn at once."""
        self._at_once = at_once
        self._turns: dict[int, _Turn] = {}
        self._waits: dict[int, _Wait] = {}
        self._granted: deque[int] = deque()
        self.waited = 0
        """Times a lane had to wait."""
        self.rotations = 0
        """Turns ended because others waited."""

    @property
    def waiting(self) -> int:
        """Lanes in the queue."""
        return len(self._waits)

    def has_turn(self, lane: int) -> bool:
        """May `lane` begin another chunk?"""
        return lane in self._turns

    def ask(self, lane: int, now: float) -> bool:
        """`lane` has something to send. True if it may; else it is in the queue, and `poll_granted` names it later."""
        if lane in self._turns:
            return True
        if lane in self._waits:
            return False
        if not self._waits and (not self._at_once or len(self._turns) < self._at_once):
            self._turns[lane] = _Turn(since=now, bytes_left=QUANTUM_BYTES)
            return True
        self._waits[lane] = _Wait()
        self.waited += 1
        return False

    def spend(self, lane: int, count: int, now: float) -> bool:
        """`lane` began to send `count` bytes. False when its turn is over and it has to ask again."""
        turn = self._turns.get(lane)
        if turn is None:
            return False
        turn.bytes_left -= count
        if not self._waits:
            if turn.bytes_left <= 0:
                turn.bytes_left, turn.since = QUANTUM_BYTES, now
            return True
        if turn.bytes_left > 0 and now < turn.since + QUANTUM_S:
            return True
        self.rotations += 1
        self.leave(lane, now)
        return False

    def handle_timer(self, now: float) -> None:
        """End the turns whose time is over while others wait: a stuck client must not keep them out."""
        if not self._waits:
            return
        for lane in [lane for lane, turn in self._turns.items() if now >= turn.since + QUANTUM_S]:
            self.rotations += 1
            self.leave(lane, now)

    def leave(self, lane: int, now: float) -> None:
        """`lane` has nothing to send, or is gone. Harmless when it neither waits nor has a turn."""
        self._turns.pop(lane, None)
        self._waits.pop(lane, None)
        while self._waits and len(self._turns) < self._at_once:
            following = next(iter(self._waits))
            del self._waits[following]
            self._turns[following] = _Turn(since=now, bytes_left=QUANTUM_BYTES)
            self._granted.append(following)

    def poll_granted(self) -> int | None:
        """A lane whose turn has come since it asked."""
        while self._granted:
            lane = self._granted.popleft()
            if lane in self._turns:
                return lane
        return None

    def poll_notices(self, now: float) -> list[tuple[int, int]]:
        """(lane, position) of those to be told where they stand: at once, then when it changed."""
        notices: list[tuple[int, int]] = []
        for position, (lane, wait) in enumerate(self._waits.items(), start=1):
            if wait.told != position and now >= wait.told_at + NOTICE_EVERY_S:
                wait.told, wait.told_at = position, now
                notices.append((lane, position))
        return notices
