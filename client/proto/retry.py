"""Retry policy: when to try again after a broken path, and when to give up."""

from __future__ import annotations

import random

__all__ = ["FAILURES_LEAST", "RetryPolicy"]

FAILURES_LEAST = 3
"""Failures in a row without which a transfer is not given up: a machine that stood still (a disk that hung, a paused
guest) finds its path broken and its time over at once, and has not tried anything yet."""


class RetryPolicy:
    """Exponential backoff with jitter, bounded by the time without progress and at least `least` failures in a row.

    The k-th wait in a row lies in [0.5, 1] · min(first · 2^k, longest) seconds. A room of clients that lost the
    same server therefore does not come back in one instant.
    """

    __slots__ = ("_first_s", "_least", "_limit_s", "_longest_s", "_random", "_row", "_since", "total")

    def __init__(
        self, *, now: float, limit_s: float, first_s: float, longest_s: float, rng: random.Random, least: int = 1
    ) -> None:
        self._least = least
        self._first_s = first_s
        self._longest_s = longest_s
        self._limit_s = limit_s
        self._random = rng
        self._row = 0
        self._since = now
        self.total = 0
        """Failures so far."""

    def handle_progress(self, now: float) -> None:
        """Something useful arrived: start counting anew."""
        self._row = 0
        self._since = now

    def handle_answer(self) -> None:
        """The other side is there again, if with nothing useful yet: the next wait is short, the time goes on."""
        self._row = 0

    def poll_delay(self, now: float) -> float | None:
        """After a failure: seconds to wait before trying again, or None to give up."""
        self.total += 1
        left = self._limit_s - (now - self._since)
        step = min(self._first_s * 2.0 ** min(self._row, 30), self._longest_s)
        self._row += 1
        if left <= 0 and self._row >= self._least:
            return None
        delay = step * self._random.uniform(0.5, 1.0)
        return min(delay, left) if left > 0 else delay
