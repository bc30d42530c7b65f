"""Rebuild the originals of a chunk that came partly as parity, in the chunk's own memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transports.multicast.fec.code import Erased, ErasureCode
from transports.multicast.proto.assembly import BlockRepair

__all__ = ["mend"]


def mend(frame: NDArray[np.uint8], blocks: int, repairs: Sequence[BlockRepair], code: ErasureCode) -> int:
    """Put every original of `frame` (one symbol a row) in its row; returns how many had to be computed.

    `blocks` is the number of blocks of the chunk. A row of a damaged block may hold parity, or an original whose own
    row was taken; both are moved out of the way first.
    """
    erased = []
    for repair in repairs:
        block = frame[repair.block :: blocks]
        missing, parity = repair.places, repair.symbols
        if min(parity) < len(block):
            missing, parity = _send_home(block, missing, parity)
        if missing:
            erased.append(Erased(block=block, missing=missing, parity=parity))
    code.decode_many(erased)
    return sum(len(one.missing) for one in erased)


def _send_home(block: NDArray[np.uint8], places: list[int], symbols: list[int]) -> tuple[list[int], list[int]]:
    """Move originals to their own rows, parity to those then left; which these are, and what lies there."""
    k, data = len(block), block[places]
    home = [at for at, symbol in enumerate(symbols) if symbol < k]
    away = [at for at, symbol in enumerate(symbols) if symbol >= k]
    missing = sorted(set(places).difference(symbols[at] for at in home))
    block[[symbols[at] for at in home]] = data[home]
    block[missing] = data[away]
    return missing, [symbols[at] for at in away]
