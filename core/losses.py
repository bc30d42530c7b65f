"""Whether a connection loses more of what it sends than other senders explain: by what happened lately. Pure.

A start that overruns the queue of a port loses packets, and says nothing about the cable; a cable that breaks later is
not made better by what it carried before.
"""

from __future__ import annotations

__all__ = ["FIRST_LOOK_PACKETS", "LATELY_PACKETS", "LOSSY_SHARE", "MENDED_SHARE", "Losses"]

LOSSY_SHARE = 0.05
"""Of the packets sent lately, repeated: a full port drops one in a hundred or two; what drops more is a bad cable."""
MENDED_SHARE = LOSSY_SHARE / 2
"""Fewer than so many, and it is one no more."""
FIRST_LOOK_PACKETS = 200
"""Sent before the beginning is judged: who follows losses on a bad cable sends next to nothing …"""
LATELY_PACKETS = 2000
"""… and later what the last so many, to twice as many, tell: chance makes no twentieth of a fortieth."""


class Losses:
    """Of one connection."""

    def __init__(self) -> None:
        self._since = (0, 0)
        """Repeated, sent: where what counts as lately begins …"""
        self._next = (0, 0)
        """… and where it will begin next."""
        self._least = FIRST_LOOK_PACKETS
        self.judged = False
        """Enough was sent to say whether it is lossy."""
        self.lossy = False

    def handle_sent(self, repeated: int, sent: int) -> bool:
        """How many packets were sent since it was opened, and repeated of these. True if `lossy` changed."""
        lately = sent - self._since[1]
        if lately < self._least:
            return False
        self.judged = True
        share = (repeated - self._since[0]) / lately
        changed = share < MENDED_SHARE if self.lossy else share > LOSSY_SHARE
        if changed:
            self.lossy = not self.lossy
            self._since = self._next = (repeated, sent)
            self._least = LATELY_PACKETS
        elif sent - self._next[1] >= LATELY_PACKETS:
            self._since, self._next = self._next, (repeated, sent)
            self._least = LATELY_PACKETS
        return changed
