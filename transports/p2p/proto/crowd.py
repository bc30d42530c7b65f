"""How a swarm behaves in which not everybody can be sent to at once.

While a chunk is sent to ten receivers, all of them have it after ten times as long, and pass on nothing meanwhile. In
a small room that costs little and keeps every link busy. In a crowd fewer chunks are under way, so that each is there
sooner; but not one at a time, because who sends to one only sends nothing while that one is busy with others.
"""

from __future__ import annotations

__all__ = ["CROWD", "MOVING_S", "MOVING_TIMES", "QUEUED", "RECEIVING", "SENDING", "TAKING"]

CROWD = 10
"""With more neighbours than this a peer is in a crowd."""
SENDING = 4
"""Receivers in a crowd that a peer sends to at a time."""
RECEIVING = 4
"""Chunks that come to a peer in a crowd at a time; what waits elsewhere is taken back then."""
QUEUED = 3
"""Requests of a peer in a crowd that wait for their turn."""
MOVING_S = 0.025
MOVING_TIMES = 0.8
"""Who waits for so many asks others after so many times what a chunk takes to come, and MOVING_S at least, for the same
chunks: most of the uplinks that are idle in a crowd have a neighbour that waits elsewhere for what they hold. Sooner,
most of what is moved would have had its turn next."""
TAKING = 5
"""Chunks under way from the origin to a crowded subnet, one a member: one more than RECEIVING, because the origin is
then one sender among five at each of them."""
