"""How a swarm behaves in which not everybody can be sent to at once.

While a chunk is sent to ten receivers, all of them have it after ten times as long, and pass on nothing meanwhile. In
a small room that costs little and keeps every link busy. In a crowd fewer chunks are under way, so that each is there
sooner; but not one at a time, because who sends to one only sends nothing while that one is busy with others. And
nothing waits in a queue: who wants a chunk asks for a turn, and says which one when the turn comes (turns.py).
"""

from __future__ import annotations

__all__ = ["CROWD", "LAST_CHUNKS", "RECEIVING", "RECEIVING_LAST", "SENDING", "TAKING", "TURNS"]

CROWD = 10
"""With more neighbours than this a peer is in a crowd."""
SENDING = 5
"""Receivers in a crowd that a peer sends to at a time. TCP fills a link with five lanes that come and go better than
with four; with more, chunks are there later."""
RECEIVING = 6
"""Chunks that come to a peer in a crowd at a time: one more than are sent, so that who may send finds a receiver."""
RECEIVING_LAST = 4
"""The same, of neighbours, while one of the last chunks comes from the origin: all members lack that one, and among
lanes that fill the link it would come last. What they do not send to this peer they send to others: no more than TAKING
make way at a time."""
LAST_CHUNKS = 24
"""Who wants no more than these has only last ones: of a small image, or of the little that peers mend beside a group,
all are."""
TURNS = 15
"""Turns a peer in a crowd waits for at a time, as long as it has room for more chunks. With fewer, who is about to
send is not found at the end, when few hold what is lacking."""
TAKING = 10
"""Chunks under way from the origin to a crowded subnet, one a member: more than RECEIVING, because the origin is one
sender among several at each of them, and its wire is to be full."""
