"""Quantiles of a few figures.

NumPy's take a tenth of a millisecond each, however few figures there are, and a cast looks at several ten times a
second, between two trains.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["quantile", "quantile_below"]


def quantile(values: Iterable[float], share: float) -> float | None:
    """What `share` of the values do not exceed, between two of them in proportion (the definition 7 of Hyndman and Fan,
    Sample quantiles in statistical packages, 1996; the usual one of NumPy); None if there are none."""
    ordered = sorted(values)
    if not ordered:
        return None
    place, rest = divmod(share * (len(ordered) - 1), 1)
    below, above = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
    return float(below + rest * (above - below))


def quantile_below(values: Iterable[float], share: float) -> float | None:
    """The same, but the value next below instead of one between two."""
    ordered = sorted(values)
    return float(ordered[int(share * (len(ordered) - 1))]) if ordered else None
