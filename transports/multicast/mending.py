"""Rebuild the originals of a chunk that came partly as parity, in the chunk's own memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transports.multicast.fec.code import ErasureCode
from transports.multicast.proto.assembly import Repairs
from transports.multicast.proto.layout import Layout

__all__ = ["mend"]


def mend(frame: NDArray[np.uint8], layout: Layout, repairs: Repairs, code: ErasureCode) -> int:
    """Put every original of `frame` (one symbol a row) in its row; returns how many had to be computed.

    A row may hold parity, or an original whose own row was taken; both are moved out of the way first.
    """
    rows, symbols = repairs.rows, repairs.symbols
    blocks = layout.blocks
    home = symbols < layout.block_symbols().take(rows % blocks)
    if np.logical_or.reduce(home):
        rows, symbols = _send_home(frame, blocks, rows, symbols, home)
    if len(rows):
        code.decode_frame(frame, blocks, rows, symbols)
    return len(rows)


def _send_home(
    frame: NDArray[np.uint8],
    blocks: int,
    rows: NDArray[np.int64],
    symbols: NDArray[np.int64],
    home: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Move originals, which `home` says, to their own rows, parity to those then left; which these are, and what lies
    there."""
    data = frame[rows]
    homes = symbols[home] * blocks + rows[home] % blocks
    away = np.flatnonzero(~home)
    away = away[np.argsort(rows[away] % blocks, kind="stable")]
    stays = np.ones(len(rows), dtype=np.bool_)
    stays[np.searchsorted(rows, homes)] = False  # each home is one of the rows: something else lay in it
    left = rows[stays]
    left = left[np.argsort(left % blocks, kind="stable")]
    frame[homes] = data[home]
    frame[left] = data[away]
    return left, symbols[away]
