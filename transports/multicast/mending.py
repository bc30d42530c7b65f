"""Rebuild the originals of a chunk that came partly as parity, in the chunk's own memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transports.multicast.fec.code import ErasureCode
from transports.multicast.proto.assembly import BlockRepair

__all__ = ["mend"]


def mend(frame: NDArray[np.uint8], blocks: int, repairs: Sequence[BlockRepair], code: ErasureCode) -> int:
    """Put every original of `frame` (one symbol a row) in its row; returns how many had to be computed.

    `blocks` is the number of blocks of the chunk. A row of a damaged block may hold parity, or an original whose own
    row was taken; both are moved out of the way first.
    """
    computed = 0
    for repair in repairs:
        block = frame[repair.block :: blocks]
        k = len(block)
        foreign = np.flatnonzero(repair.indices != np.arange(k))
        missing, symbols = foreign.tolist(), repair.indices[foreign].tolist()
        data = block[foreign]
        if min(symbols) < k:
            home = [place for place, symbol in enumerate(symbols) if symbol < k]
            block[[symbols[place] for place in home]] = data[home]
            away = [place for place, symbol in enumerate(symbols) if symbol >= k]
            missing = sorted(set(missing).difference(symbols[place] for place in home))
            symbols, data = [symbols[place] for place in away], data[away]
        code.decode(block, missing, symbols, data)
        computed += len(missing)
    return computed
