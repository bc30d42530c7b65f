"""Parity that is sent with a chunk before anybody asks: where hosts, not the wire, are what a cast waits for.

Who is asked for repairs reads the chunk again, sends small trains of it, and all members handle them; who waits for
them keeps the chunk. That costs processors more than a few packets, of which each member has a use for some. Where the
wire is the limit the packets cost more, and nothing is sent unasked.
"""

from __future__ import annotations

import math

from transports.multicast.proto.layout import Layout
from transports.multicast.proto.members import Members

__all__ = ["symbols_ahead"]

QUANTILE = 0.75
UNUSED_LEAST = 0.1
"""Share of the rate that is not used because the sender is too slow for it, from which on hosts are the limit."""
ASK_AGAIN = 0.5
"""Blocks of a chunk of which somebody is to lack more than was sent, on the average: every other chunk is asked for."""
SHARE_MAX = 0.05
"""Of a block, at most."""


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
    # how many symbols of a block a member loses is distributed as Poisson says
    share = math.exp(-lost)
    more, ahead = 1 - share, 0
    while more * places > ASK_AGAIN and ahead < SHARE_MAX * k:
        ahead += 1
        share *= lost / ahead
        more -= share
    return ahead
