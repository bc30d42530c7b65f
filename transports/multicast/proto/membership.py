"""A member's patience: when the join probe has failed, when a cast counts as silent, when a tail is worth leaving for.

Pure. The shell feeds what it counts; the answers are steps for it to take.
"""

from __future__ import annotations

import msgspec

from transports.multicast.proto.received import Figures

__all__ = ["SILENT_S", "TAIL_CHUNKS", "TAIL_S", "UNHEARD_ASKS", "UNHEARD_S", "Membership", "Step"]

ENOUGH = 12
"""Probes, or other packets, after which the verdict is good before the time is over."""
PARTIAL_LOSS = 0.02
SILENT_S = 3.0
"""Without a single packet for so long while something is lacking, the path is left."""
SILENT_REST_S = 30.0
UNHEARD_S = 3.0
UNHEARD_ASKS = 3
"""Who asked so often, and for so long, without a symbol of use coming, is not heard: its reports do not arrive."""
MUTE_S = 1.0
"""What was asked while nothing came for so long says nothing of reports alone: a cable was out."""
TAIL_CHUNKS = 4
TAIL_S = 2.0
"""Who lacks so few chunks, and got none for so long while the sender is busy with others, takes them alone."""
TAIL_REST_S = 60.0


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do."""

    verdict: str | None = None
    """Of the probe: good, partial, nothing."""
    fatal: bool = False
    """The path is to be left."""
    reason: str = ""
    loss: float = 0.0
    again_after_s: float | None = None


class Membership:
    """One membership, from the answer to the join on."""

    def __init__(
        self,
        *,
        now: float,
        probe_wait_s: float,
        start_timeout_s: float | None = None,
        silence_s: float | None = None,
        alone: bool = False,
    ) -> None:
        """`alone`: there is no other way to take a tail by, so that it is waited for."""
        self._alone = alone
        self._probe_wait_s = probe_wait_s
        self._start_timeout_s = start_timeout_s
        self._silence_s = silence_s or SILENT_S
        self._began = now
        self._probe_until: float | None = None
        self._joined = False
        self._waiting = False
        self._packets = 0
        self._heard = now
        self._chunk_at = now
        self._stored = 0
        self._served = now
        self._late = False
        self._asked = 0
        """Reports that had asked for something when a symbol of use came last, at `_served`."""
        self.probes = 0
        """Probes the sender announced."""

    def handle_joined(self, now: float, *, probes: int) -> None:
        """The sender counts us in. Without probes: what it waited for has happened."""
        self._joined, self._waiting = True, False
        self._heard = self._chunk_at = now
        if probes:
            self.probes = probes
            self._probe_until = now + self._probe_wait_s

    def handle_waiting(self, now: float) -> None:
        """The cast has not begun: silence means nothing."""
        self._waiting = True
        self._heard = now

    def handle_lane(self, *, late: bool) -> None:
        """The sender serves this member last, if `late`: that it asks in vain means nothing then."""
        self._late = late

    def handle_chunk(self, now: float) -> None:
        """A chunk arrived."""
        self._chunk_at = now

    def poll(
        self, now: float, *, packets: int, span: int, figures: Figures, lacking: int, sender_idle: bool
    ) -> Step | None:
        """What to do, if anything. `packets` of `span` sent arrived; `lacking` chunks are missing."""
        if packets != self._packets:
            if now - self._heard >= MUTE_S:
                self._asked, self._served = figures.asked, now
            self._packets, self._heard = packets, now
        if self._start_timeout_s is not None and self._waiting and now - self._began >= self._start_timeout_s:
            return Step(fatal=True, reason=f"the cast did not begin within {self._start_timeout_s:g} s")
        if not self._joined:
            return None
        if self._probe_until is not None:
            return self._probe(now, packets=packets, span=span, probes=figures.probes)
        if figures.stored != self._stored or figures.asked == self._asked or self._late:
            self._stored, self._asked, self._served = figures.stored, figures.asked, now
        if self._waiting or not lacking:
            self._heard = self._chunk_at = now
            return None
        if now - self._heard >= self._silence_s:
            return Step(
                fatal=True,
                reason=f"nothing of the cast came for {self._silence_s:g} s, though the group was joined again",
                again_after_s=SILENT_REST_S,
            )
        if now - self._served >= UNHEARD_S and figures.asked - self._asked >= UNHEARD_ASKS:
            return Step(
                fatal=True,
                reason=(
                    f"asked {figures.asked - self._asked} times in {now - self._served:.0f} s for what is lacking, "
                    "and nothing of it came: reports (UDP to the repository) do not arrive, a firewall may drop them"
                ),
                again_after_s=SILENT_REST_S,
            )
        if lacking <= TAIL_CHUNKS and not (sender_idle or self._alone) and now - self._chunk_at >= TAIL_S:
            return Step(
                fatal=True,
                reason=f"the last {lacking} chunks are taken alone, while the cast is busy with others",
                again_after_s=TAIL_REST_S,
            )
        return None

    def _probe(self, now: float, *, packets: int, span: int, probes: int) -> Step | None:
        assert self._probe_until is not None
        early = now < self._probe_until
        if early and not (probes >= min(ENOUGH, self.probes) or packets >= 4 * ENOUGH):
            return None
        self._probe_until = None
        self._heard = self._chunk_at = now
        if not packets:
            return Step(verdict="nothing", fatal=True, loss=1.0)
        loss = max(0.0, 1 - packets / span) if span else 0.0
        if loss > PARTIAL_LOSS:
            return Step(verdict="partial", loss=loss, reason=f"{loss:.1%} of the packets are lost on the way")
        return Step(verdict="good", loss=loss)
