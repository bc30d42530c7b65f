"""The way of packets to one client and back: what is lost, late, twice, or does not fit through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Path", "PathSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSettings:
    """Properties of one path. Chances are per packet, drawn independently."""

    loss: float = 0.0
    """In both directions."""
    delay_s: float = 0.0002
    """One way."""
    rate_bytes_per_s: float = 0.0
    """Of the port towards the client; 0: no limit."""
    queue_bytes: int = 256 * 1024
    """What the port holds before it drops."""
    reorder: float = 0.0
    """Share of packets that come `reorder_s` late."""
    reorder_s: float = 0.002
    duplicate: float = 0.0
    """Share of packets that come twice."""
    dead: tuple[tuple[float, float], ...] = ()
    """Times (from, to) in which nothing passes, either way."""
    deaf: tuple[tuple[float, float], ...] = ()
    """Times in which nothing sent to the group arrives."""


class Path:
    """One client's path; a batch of packets at a time."""

    def __init__(self, settings: PathSettings, rng: np.random.Generator) -> None:
        self.settings = settings
        self.lost = 0
        """Packets lost by chance."""
        self.clogged = 0
        """Packets dropped because the port was full."""
        self._rng = rng
        self._free_at = 0.0

    def carry(self, count: int, wire_bytes: int, *, seconds: float, now: float) -> NDArray[np.bool_]:
        """Which of `count` packets of `wire_bytes` each, sent over the last `seconds`, get through."""
        if not self._open(now, group=True):
            return np.zeros(count, dtype=np.bool_)
        keep = np.ones(count, dtype=np.bool_)
        if self.settings.loss:
            keep = self._rng.random(count) >= self.settings.loss
            self.lost += count - int(np.count_nonzero(keep))
        if self.settings.rate_bytes_per_s:
            keep &= self._through_port(count, wire_bytes, seconds, now)
        return keep

    def choose(self, count: int, chance: float) -> NDArray[np.bool_]:
        """A draw for each of `count` packets."""
        return self._rng.random(count) < chance

    def passes(self, now: float, *, group: bool) -> bool:
        """Whether one small packet gets through; `group`: sent to the group, not to or from this client alone."""
        return self._open(now, group=group) and self._rng.random() >= self.settings.loss

    def _open(self, now: float, *, group: bool) -> bool:
        shut = self.settings.dead + (self.settings.deaf if group else ())
        return not any(start <= now < stop for start, stop in shut)

    def _through_port(self, count: int, wire_bytes: int, seconds: float, now: float) -> NDArray[np.bool_]:
        """A queue that drains at the rate and drops what finds it full, spread evenly over the batch."""
        rate = self.settings.rate_bytes_per_s
        start = max(self._free_at, now - seconds)
        room = max(0.0, self.settings.queue_bytes - (start - now) * rate)
        fits = min(count, int(room / wire_bytes))
        self._free_at = start + fits * wire_bytes / rate
        self.clogged += count - fits
        steps = np.arange(count + 1) * fits // max(count, 1)
        return np.diff(steps).astype(np.bool_)
