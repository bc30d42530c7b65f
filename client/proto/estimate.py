"""Progress estimate: rate over the last seconds and time left."""

from __future__ import annotations

from collections import deque

__all__ = ["WINDOW_S", "Estimate"]

WINDOW_S = 8.0  # long enough to even out a writeback stall, short enough to show a change of pace
_SAMPLES_MAX = 64


class Estimate:
    """Rate and time left for work of a known amount in bytes."""

    __slots__ = ("_done", "_samples", "total")

    def __init__(self, *, now: float, total: int, done: int = 0) -> None:
        self.total = total
        self._done = done
        self._samples: deque[tuple[float, int]] = deque([(now, done)], maxlen=_SAMPLES_MAX)

    @property
    def done(self) -> int:
        """Bytes finished so far."""
        return self._done

    def handle_done(self, now: float, done: int) -> None:
        """Take `done` bytes of `total` as finished at `now`."""
        self._done = done
        last, _ = self._samples[-1]
        if now - last < WINDOW_S / _SAMPLES_MAX:
            return  # the window keeps its length whatever the rate of calls
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()

    def rate_bytes_per_s(self, now: float) -> float:
        """Bytes per second over the window; 0 while nothing is known."""
        since, before = self._samples[0]
        return (self._done - before) / (now - since) if now > since else 0.0

    def left_s(self, now: float) -> float | None:
        """Seconds left at the present rate, or None while there is none."""
        rate = self.rate_bytes_per_s(now)
        return (self.total - self._done) / rate if rate > 0 else None
