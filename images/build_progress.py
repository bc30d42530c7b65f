"""How far a build is: counted while it runs, shown as snapshots."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BuildProgress", "BuildTally"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildProgress:
    """How far a build is."""

    bytes_done: int
    """DATA bytes read, digested and, where new, stored."""
    bytes_total: int | None
    """DATA bytes of the source; None for a stream that does not say."""
    bytes_zero: int
    """DATA bytes that turned out to be zero."""
    bytes_known: int
    """DATA bytes whose chunks the store held already."""
    bytes_stored: int
    """Bytes of new chunks as stored."""
    chunks_new: int
    chunks_known: int
    seconds: float
    """Since the build began."""

    @property
    def rate_bytes_per_s(self) -> float:
        """DATA bytes per second so far."""
        return self.bytes_done / self.seconds if self.seconds > 0 else 0.0


@dataclass(slots=True, kw_only=True)
class BuildTally:
    """The counters of one build, each as its namesake in BuildProgress."""

    started_s: float
    """Monotonic time of the beginning."""
    total: int | None
    done: int = 0
    zero: int = 0
    known: int = 0
    stored: int = 0
    chunks_new: int = 0
    chunks_known: int = 0

    def snapshot(self, now: float) -> BuildProgress:
        """The counters at monotonic time `now`."""
        return BuildProgress(
            bytes_done=self.done,
            bytes_total=self.total,
            bytes_zero=self.zero,
            bytes_known=self.known,
            bytes_stored=self.stored,
            chunks_new=self.chunks_new,
            chunks_known=self.chunks_known,
            seconds=now - self.started_s,
        )
