"""A session's want-map as the flags the machines work on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.wantmap import WantMap

__all__ = ["flags_of", "flags_of_chunks"]


def flags_of(want: WantMap) -> NDArray[np.bool_]:
    """One flag a chunk; a copy."""
    return want.flags.copy()


def flags_of_chunks(chunks: Iterable[int], count: int) -> NDArray[np.bool_]:
    """The same for `chunks` of an image of `count`."""
    flags = np.zeros(count, dtype=np.bool_)
    flags[list(chunks)] = True
    return flags
