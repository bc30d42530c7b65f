"""Brake meter: which of network, CACHE, decoder and disk a restore waits for, seen from where chunks queue up."""

from __future__ import annotations

import enum

__all__ = ["Brake", "BrakeMeter"]


class Brake(enum.StrEnum):
    """The stage that limits the rate."""

    NETWORK = "network"
    CACHE = "cache"
    """Chunks come from this machine's own CACHE."""
    DECODE = "decode"
    DISK = "disk"


class BrakeMeter:
    """Adds up the time spent with each stage as the limit.

    The stages form a line: source, decoder, writer. The last one with a queue before it is the limit; when nothing
    queues anywhere, everything waits for the source, which is named NETWORK or CACHE. The shell calls `handle_load`
    whenever a count changes.
    """

    __slots__ = ("_backlog", "_brake", "_previous", "_seconds", "_since", "_supply", "_workers")

    def __init__(self, *, now: float, workers: int, write_backlog: int) -> None:
        """`workers` decode at a time; `write_backlog` chunks waiting for the disk mean that it is the limit."""
        self._workers = workers
        self._backlog = max(1, write_backlog)
        self._supply = self._brake = Brake.NETWORK
        self._since = now
        self._seconds = dict.fromkeys(Brake, 0.0)
        self._previous = dict(self._seconds)

    def handle_source(self, now: float, supply: Brake) -> None:
        """Chunks come from another source from now on, which is called `supply` as a limit; nothing queues yet."""
        self._settle(now)
        self._supply = self._brake = supply

    def handle_load(self, now: float, *, decoding: int, writing: int, complete: bool = False) -> None:
        """Take the counts of chunks that are at or before the decoder, and at or before the disk, from now on.

        `complete`: everything has come, and what is not written yet waits for the disk, however little it is.
        """
        self._settle(now)
        if writing >= self._backlog or (complete and writing):
            self._brake = Brake.DISK
        elif decoding > self._workers:
            self._brake = Brake.DECODE
        else:
            self._brake = self._supply

    def poll_brake(self, now: float) -> Brake:
        """The limit over the time since the last call."""
        self._settle(now)
        spent = {stage: self._seconds[stage] - self._previous[stage] for stage in Brake}
        self._previous = dict(self._seconds)
        return max(Brake, key=lambda stage: spent[stage])

    def shares(self, now: float) -> dict[str, float]:
        """Part of the whole time (0 to 1) with each stage as the limit."""
        self._settle(now)
        whole = sum(self._seconds.values())
        return {stage.value: round(self._seconds[stage] / whole, 3) if whole else 0.0 for stage in Brake}

    def _settle(self, now: float) -> None:
        self._seconds[self._brake] += max(0.0, now - self._since)
        self._since = now
