"""A computer room in virtual time: one sender, clients that join, suffer and die, and exact figures at the end.

room = Room(chunks=16, seed=1)
room.join(8, path=PathSettings(loss=0.01))
room.kill(3, at=1.0)
outcome = room.until_done()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.simnet.client import ClientSettings, SimClient, client_rng
from bench.simnet.clock import Clock
from bench.simnet.path import Path, PathSettings
from bench.simnet.sender import Batch, SimSender
from transports.multicast.proto.burst import Totals
from transports.multicast.proto.cast import Cast
from transports.multicast.proto.demotion import Verdict
from transports.multicast.proto.limits import WIRE_OVERHEAD_BYTES
from transports.multicast.proto.packets import Headers, packet_bytes
from transports.multicast.proto.rate import RateLimits
from transports.multicast.proto.reception import Reception

__all__ = ["Outcome", "Room"]

CAST_ID = 0x4F47
SYMBOL_BYTES = 1448
MIB = 1 << 20

Arrival = tuple[Headers, NDArray[np.bool_]] | bytes
"""Data packets and which of them come, or one control packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened."""

    seconds: float
    """From the beginning until the last client that lives and was not moved is done."""
    done_s: dict[int, float]
    """Client to the time from its own join to its end."""
    unfinished: list[int]
    """Clients that live, were not moved, and are not done."""
    moved: list[Verdict]
    """Lane changes, in order."""
    totals: Totals
    originals: int
    """Symbols of the image."""
    image_bytes: int
    reports_per_s: int
    """Most reports that reached the sender in any second."""

    @property
    def sent_share(self) -> float:
        """Data packets sent for each symbol of the image: E[M] of the reference."""
        return self.totals.packets / self.originals

    @property
    def wire_share(self) -> float:
        """Bytes on the wire, all headers included, for each byte of the image."""
        return self.totals.wire_bytes / self.image_bytes


class Room:
    """One cast and its clients."""

    def __init__(
        self,
        *,
        chunks: int | Sequence[int],
        seed: int = 1,
        chunk_bytes: int = 4 * MIB,
        rate_bytes_per_s: float = 25e6,
        adaptive: bool = False,
        batch_s: float = 0.0,
        steps: int = 5_000_000,
    ) -> None:
        """`chunks`: how many, or the stored length of each."""
        lengths = [chunk_bytes] * chunks if isinstance(chunks, int) else list(chunks)
        self.clock = Clock(steps=steps)
        self.clients: dict[int, SimClient] = {}
        self._seed = seed
        self._lengths = lengths
        self._verdicts: list[Verdict] = []
        self.cast = Cast(
            cast_id=CAST_ID,
            chunks=len(lengths),
            stored=lambda chunk: (lengths[chunk], 0),
            symbol_bytes=SYMBOL_BYTES,
            limits=RateLimits(cap_bytes_per_s=rate_bytes_per_s, adaptive=adaptive),
            now=0.0,
        )
        self.sender = SimSender(self.cast, self.clock, cast_id=CAST_ID, batch_s=batch_s, deliver=self._deliver)
        self._packet_wire_bytes = packet_bytes(SYMBOL_BYTES) + WIRE_OVERHEAD_BYTES
        self._expected = 0

    # ------------------------------------------------------------------ vocabulary

    def join(
        self,
        count: int,
        *,
        at: float = 0.0,
        spread_s: float = 0.0,
        path: PathSettings | None = None,
        client: ClientSettings | None = None,
        wanted: NDArray[np.bool_] | None = None,
    ) -> list[int]:
        """`count` clients join, the first at `at`, the last `spread_s` later; their numbers."""
        numbers = list(range(self._expected, self._expected + count))
        self._expected += count
        flags = np.ones(len(self._lengths), dtype=np.bool_) if wanted is None else wanted
        for place, number in enumerate(numbers):
            time = at + (spread_s * place / (count - 1) if count > 1 else 0.0)
            self.clock.at(time, partial(self.add, number, path or PathSettings(), client or ClientSettings(), flags))
        return numbers

    def kill(self, number: int, *, at: float) -> None:
        """The client dies; its lane breaks, so the sender knows."""

        def die() -> None:
            self.clients[number].kill()
            self.cast.remove_member(number)
            self.sender.turn()

        self.clock.at(at, die)

    def drop(self, number: int, *, at: float, loss: float) -> None:
        """From then on the client's path loses this share."""

        def change() -> None:
            path = self.clients[number].path
            path.settings = replace(path.settings, loss=loss)

        self.clock.at(at, change)

    def until_done(self, *, at_most_s: float = 600.0) -> Outcome:
        """Let time pass until every client is done, dead or moved."""
        self.clock.run(until=at_most_s, stop=self._all_done)
        return self._outcome()

    # ------------------------------------------------------------------ inside

    def add(self, number: int, path: PathSettings, settings: ClientSettings, wanted: NDArray[np.bool_]) -> None:
        """A client joins now."""
        key = number.to_bytes(32, "little")
        reception = Reception(
            cast_id=CAST_ID,
            member=number,
            key=key,
            symbol_bytes=SYMBOL_BYTES,
            wanted=wanted,
            slot_bytes=max(self._lengths) + SYMBOL_BYTES,
            slots=settings.slots,
            sequence=self.cast.sequence,
            interval_s=self.cast.report_interval_s,
            rng=client_rng(self._seed, number),
            now=self.clock.now,
        )
        self.cast.add_member(number, key=key, wanted=wanted, now=self.clock.now)
        self.clients[number] = SimClient(
            number=number,
            reception=reception,
            settings=settings,
            path=Path(path, np.random.default_rng((self._seed, number))),
            clock=self.clock,
            send_report=lambda data: self._report(number, data),
            on_done=lambda: self._done(number),
        )
        self.sender.turn()

    def _report(self, number: int, data: bytes) -> None:
        path = self.clients[number].path
        if path.passes(self.clock.now, group=False):
            self.clock.at(self.clock.now + path.settings.delay_s, lambda: self.sender.handle_report(data))

    def _done(self, number: int) -> None:
        self.cast.handle_done(number)
        self.sender.turn()

    def _deliver(self, batch: Batch) -> None:
        now = self.clock.now
        while (verdict := self.cast.poll_event()) is not None:
            self._verdicts.append(verdict)
            self.clients[verdict.member].handle_lane(verdict.lane)
        for client in self.clients.values():
            if not client.active:
                continue
            path = client.path
            arrivals: list[Arrival] = []
            for item in batch.items:
                if isinstance(item, bytes):
                    if path.passes(now, group=True):
                        arrivals.append(item)
                    continue
                keep = path.carry(len(item), self._packet_wire_bytes, seconds=batch.seconds, now=now)
                if path.settings.reorder:
                    late = keep & path.choose(len(item), path.settings.reorder)
                    keep &= ~late
                    self.clock.at(
                        now + path.settings.delay_s + path.settings.reorder_s, _arrival(client, [(item, late)])
                    )
                arrivals.append((item, keep))
                if path.settings.duplicate:
                    arrivals.append((item, keep & path.choose(len(item), path.settings.duplicate)))
            self.clock.at(now + path.settings.delay_s, _arrival(client, arrivals))

    def _waited_for(self) -> list[SimClient]:
        moved = {member.id for member in self.cast.members if member.lane == "unicast"}
        return [client for client in self.clients.values() if client.active and client.number not in moved]

    def _all_done(self) -> bool:
        return len(self.clients) == self._expected and not self._waited_for()

    def _outcome(self) -> Outcome:
        ends = {number: client.done_at for number, client in self.clients.items() if client.done_at is not None}
        times = np.array(self.sender.reports_at)
        most = max((int(np.searchsorted(times, t + 1) - i) for i, t in enumerate(times)), default=0)
        return Outcome(
            seconds=max(ends.values(), default=self.clock.now),
            done_s={number: end - self.clients[number].joined_at for number, end in ends.items()},
            unfinished=[client.number for client in self._waited_for()],
            moved=self._verdicts,
            totals=self.cast.totals,
            originals=sum(-(-length // SYMBOL_BYTES) for length in self._lengths),
            image_bytes=sum(self._lengths),
            reports_per_s=most,
        )


def _arrival(client: SimClient, arrivals: list[Arrival]) -> Callable[[], None]:
    def arrive() -> None:
        for item in arrivals:
            if isinstance(item, bytes):
                client.handle_control(item)
            else:
                client.handle_packets(*item)

    return arrive
