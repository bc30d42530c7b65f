"""Mending: how many chunks of a cast are taken from peers meanwhile, without costing the cast.

What comes from peers shares the link with the cast. It begins with one chunk at a time and grows with each that
arrives; when the cast loses more than it did before, it stops for a while, twice as long each time. While the cast is
*fresh*, sends what all its members wait for, it is not tried again then: each packet lost here costs all of them. When
the cast repeats at the same pace the link is as full; slower, it leaves room. A cast that rests leaves the link to it.
"""

from __future__ import annotations

__all__ = ["CHUNKS_MAX", "PATIENCE_S", "Mending"]

CHUNKS_MAX = 8
"""Chunks left to peers at a time."""
LOSS_MORE = 0.02
"""Loss over that of a cast alone from which peers are taken to be the reason …"""
NOISE = 0.5
"""… and over what chance makes of it, for a wire that loses much by itself: such a share of its own loss."""
SETTLE_S = 1.0
"""For so long after a peer brought something, loss may be its doing; that of a fresh cast is known after as long."""
PAUSE_FIRST_S = 1.0
PAUSE_MAX_S = 16.0
ROOM = 0.8
"""A cast that was as fast as the link leaves room on it from this share of that pace on."""
PATIENCE_S = 4.0
"""Peers that bring none of the chunks left to them for so long do not have them …"""
PATIENCE_RESTING_S = 1.0
"""… or for so long, while the cast has nothing else to do."""


class Mending:
    """One session's. Pure: the caller says what time it is."""

    def __init__(self, now: float) -> None:
        self._window = 1
        self._pause_s = PAUSE_FIRST_S
        self._paused_until = now
        self._usual_loss = 0.0
        self._moved_at = now
        self._arrived_at = float("-inf")
        self._first_at: float | None = None
        self._dear_pace: float | None = None
        """How fast a fresh cast was that lost by it; None: it was not seen to lose."""
        self._break = False
        """What peers brought cost a fresh cast."""
        self.pauses = 0
        """Times it stopped for the sake of the cast."""
        self.returns = 0
        """Times peers did not have what was left to them."""

    @property
    def usual_loss(self) -> float:
        """That of a cast alone, when peers brought nothing last."""
        return self._usual_loss

    def handle_arrived(self, now: float) -> None:
        """A peer brought a chunk."""
        self._window = min(CHUNKS_MAX, self._window + 1)
        if self._window == CHUNKS_MAX:  # so much at a time cost the cast nothing
            self._pause_s = PAUSE_FIRST_S
        self._moved_at = self._arrived_at = now

    def poll(self, now: float, *, left: int, loss: float, resting: bool, fresh: bool = False, pace: float = 0.0) -> int:
        """How many more chunks to leave to peers; `left` are with them already, `loss` and `pace`, in bytes a second,
        are the cast's."""
        if self._first_at is None:
            self._first_at = now
        if left == 0:
            self._moved_at = now
        if left == 0 and now >= self._arrived_at + SETTLE_S:
            if now >= self._paused_until:
                self._usual_loss = loss
        elif not resting and now >= self._paused_until and loss > (1 + NOISE) * self._usual_loss + LOSS_MORE:
            self.pauses += 1
            self._break = fresh
            if fresh:
                self._dear_pace = pace
                self._pause_s = PAUSE_MAX_S
            self._pause(now)
        dear = self._dear_pace is not None and not resting and pace >= ROOM * self._dear_pace
        if self._dear_pace is not None and not dear:
            self._paused_until, self._pause_s, self._dear_pace = now, PAUSE_FIRST_S, None
        if now < self._paused_until or (fresh and (dear or now < self._first_at + SETTLE_S)):
            return 0
        return max(0, (CHUNKS_MAX if resting else self._window) - left)

    def poll_break(self) -> bool:
        """True once when what peers are bringing has just been seen to cost a fresh cast: on a link that is full it
        would crawl for seconds, and go on to cost that."""
        breaks, self._break = self._break, False
        return breaks

    def poll_return(self, now: float, *, left: int, resting: bool) -> bool:
        """True when what is left to peers, and not under way, should be left to the cast again."""
        if left == 0 or now < self._moved_at + (PATIENCE_RESTING_S if resting else PATIENCE_S):
            return False
        self.returns += 1
        self._moved_at = now
        self._pause(now)
        return True

    def _pause(self, now: float) -> None:
        self._window = 1
        self._paused_until = now + self._pause_s
        self._pause_s = min(PAUSE_MAX_S, 2 * self._pause_s)
