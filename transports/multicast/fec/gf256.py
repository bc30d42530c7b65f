"""The field GF(2^8) of the erasure code: bytes as polynomials over GF(2) modulo x^8 + x^4 + x^3 + x^2 + 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXP", "LOG", "ORDER", "times_table"]

ORDER = 255
"""Size of the multiplicative group; x generates it for this polynomial."""
_POLYNOMIAL = 0x11D


def _powers() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    exp = np.zeros(ORDER, dtype=np.uint8)
    log = np.zeros(ORDER + 1, dtype=np.int64)
    element = 1
    for power in range(ORDER):
        exp[power] = element
        log[element] = power
        element <<= 1
        if element > ORDER:
            element ^= _POLYNOMIAL
    return exp, log


EXP, LOG = _powers()
"""EXP[n] is x to the n, n below ORDER; LOG is its inverse (LOG[0] means nothing, and is 0)."""


def times_table(factor: int) -> bytes:
    """The 256 products of `factor`, for `bytes.translate`."""
    table = np.zeros(ORDER + 1, dtype=np.uint8)
    if factor:
        table[1:] = EXP[(LOG[1:] + LOG[factor]) % ORDER]
    return table.tobytes()
