"""A session's want-map as the flags the machines work on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.wantmap import WantMap

__all__ = ["flags_of"]


def flags_of(want: WantMap) -> NDArray[np.bool_]:
    """One flag a chunk; a copy."""
    bits = np.unpackbits(np.frombuffer(want.to_bytes(), dtype=np.uint8), bitorder="little")
    return bits[: want.count].astype(np.bool_)
