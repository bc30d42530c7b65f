"""Where a member of a cast stands, for the repository's operator and for its own events."""

from __future__ import annotations

from typing import Any

from core.arena import Arena
from transports.multicast.proto.lane import Health
from transports.multicast.proto.reception import Reception
from transports.multicast.receiver import CastReceiver

__all__ = ["Standing"]


class Standing:
    """Reads the figures of one membership, which belong to the receiver's thread; changes nothing."""

    def __init__(self, reception: Reception, receiver: CastReceiver, now: float) -> None:
        self._reception = reception
        self._receiver = receiver
        self._bytes = 0
        self._told = (now, 0)

    def handle_bytes(self, count: int) -> None:
        """So many stored bytes arrived, complete."""
        self._bytes += count

    @property
    def network_loss(self) -> float:
        """Share of the packets that neither came nor were dropped by this host."""
        tracker = self._reception.tracker
        lost = tracker.lost - min(tracker.lost, self._reception.figures.overflow)
        return min(1.0, lost / max(1, tracker.span))

    @property
    def forged(self) -> int:
        """Packets that came and are none of the cast's: of a wrong length, or without its authenticator."""
        counters = self._receiver.intake.counters
        return counters.forged + counters.odd

    def state(self) -> dict[str, Any]:
        """How the cast arrives."""
        figures = self._reception.figures
        return {
            "network_loss": round(self.network_loss, 5),
            "host_overflow": figures.overflow,
            "forged": self.forged,
            "trusted": self._receiver.intake.counters.trusted,
            "mended_symbols": self._receiver.counters.mended_symbols,
            "rejoins": self._receiver.counters.rejoins,
            "report_errors": self._receiver.counters.report_errors,
            "passed_for_want_of_memory": figures.passed,
            "limit_calls": self._receiver.calls_refused,
        }

    def health(self, now: float, *, missing: int, arena: Arena) -> Health:
        """The message of the member lane; rates are since the last one."""
        before, count = self._told
        rate = int((self._bytes - count) / max(now - before, 1e-3))
        self._told = (now, self._bytes)
        reception = self._reception
        used = arena.slots - arena.free - reception.free_slots
        return Health(
            missing_chunks=missing,
            network_loss=self.network_loss,
            host_overflow=min(1.0, reception.figures.overflow / max(1, reception.tracker.span)),
            rate_bytes_per_s=rate,
            write_bytes_per_s=rate,
            backlog=min(1.0, max(0.0, used / arena.slots)),
            forged=self.forged,
        )
