"""Parity that is sent before anybody asks: with a chunk, where hosts, not the wire, are what a cast waits for, and with
the repairs at the end, when the wire would rest.

Who is asked for repairs reads the chunk again, sends small trains of it, and all members handle them; who waits for
them keeps the chunk. That costs processors more than a few packets, of which each member has a use for some. Where the
wire is the limit the packets cost more, and nothing is sent unasked.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.layout import Layout
from transports.multicast.proto.members import Members

__all__ = ["spare_symbols", "symbols_ahead"]

QUANTILE = 0.75
UNUSED_LEAST = 0.1
"""Share of the rate that is not used because the sender is too slow for it, from which on hosts are the limit."""
ASK_AGAIN = 0.5
"""Blocks of a chunk of which somebody is to lack more than was sent, on the average: every other chunk is asked for."""
SHARE_MAX = 0.05
"""Of a block, at most."""
ASK_AT_END = 0.02
"""Of each block that is mended when nothing else is left to send: how many members are to ask for it once more, on the
average. Each such round is a tenth of a second in which the wire rests."""
SPARE_MAX = 3
"""Symbols of a block, at most."""


def symbols_ahead(layout: Layout, members: Members, *, unused: float, disks: bool) -> int:
    """How many parities of each block of a chunk to send with it.

    `unused` is the share of the rate that the sender did not use; `disks`: the rate is what it is because of members'
    hosts. The loss is that of the third quarter of the members: nobody alone makes the others take more.
    """
    if not disks and unused < UNUSED_LEAST:
        return 0
    k = -(-layout.symbols // layout.blocks)
    lost = k * members.quantile("loss", QUANTILE, lower=True)
    places = members.lacking * layout.blocks
    ahead = 0
    while places * _more_than(ahead, lost) > ASK_AGAIN and ahead < SHARE_MAX * k:
        ahead += 1
    return ahead


def spare_symbols(due: NDArray[np.int32], members: Members) -> int:
    """How many symbols of each block to send beyond the `due` ones that were asked for, when nothing else is left.

    Repairs get lost as anything does, and the block that is due most decides. The loss is that of `symbols_ahead`.
    """
    loss, most, spare = members.quantile("loss", QUANTILE, lower=True), int(due.max()), 0
    while members.lacking * _more_than(spare, (most + spare) * loss) > ASK_AT_END and spare < SPARE_MAX:
        spare += 1
    return spare


def _more_than(number: int, mean: float) -> float:
    """The chance of more than `number`, distributed as Poisson says."""
    share = rest = math.exp(-mean)
    for k in range(1, number + 1):
        share *= mean / k
        rest += share
    return 1 - rest
