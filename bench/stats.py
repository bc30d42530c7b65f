"""Medians and spreads: the only arithmetic a figure goes through."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Summary", "ratio", "summarise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One figure measured several times, in the unit it was measured in."""

    median: float
    low: float
    high: float
    runs: int

    @property
    def spread(self) -> float:
        """(high - low) / median: how far single runs lie apart."""
        return (self.high - self.low) / self.median if self.median else 0.0


def summarise(values: Sequence[float]) -> Summary:
    """Median, lowest and highest of `values`, which must not be empty."""
    if not values:
        raise ValueError("nothing was measured")
    return Summary(median=statistics.median(values), low=min(values), high=max(values), runs=len(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times faster we are: median seconds of `theirs` over median seconds of `ours`, from one run."""
    return summarise(theirs).median / summarise(ours).median
