"""How much a member may say: a token bucket. Who says more is read later, so that it slows only itself; of what comes
by datagram the rest is passed over."""

from __future__ import annotations

__all__ = ["Allowance"]


class Allowance:
    """`rate` a second on average, `burst` at once."""

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = now

    def spend(self, cost: float, now: float) -> float:
        """Spend, and return for how many seconds to listen to nothing."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - cost
        self._at = now
        return max(0.0, -self._left / self._rate)

    def take(self, cost: float, now: float) -> bool:
        """Spend if that much is left; otherwise nothing is spent."""
        self.spend(0.0, now)
        if cost > self._left:
            return False
        self._left -= cost
        return True
