"""FetchLane: takes the chunks of a want-map over one lane, in rising order, many in flight. Pure.

As many slots are held as chunks are asked for. A chunk is either asked, held (delivered, not yet judged) or done. The
lane is `finished` when nothing of the map is left to be asked for, and `failed` when it broke before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from core.errors import ChunkError, OgcastError
from core.ids import ChunkIndex
from core.wantmap import WantMap
from transports.unicast.proto.answers import Memory, Received, Refused, Returned
from transports.unicast.proto.asking import AskingLane
from transports.unicast.proto.picker import Picker

__all__ = ["FetchLane", "Memory", "Received"]

BATCH_CHUNKS = 16
"""Chunk numbers in one READ: few enough that the first is on its way early, and their credits fit the field."""


class FetchLane:
    """One connection's protocol on the receiving side.

    The caller gives slots while `wants_slot`, moves bytes in by `next_buffer`/`handle_filled` (or `handle_bytes`) and
    out by `poll_bytes`, and passes each `poll_received` on. `release_all` at the end gives the unused slots back.
    """

    def __init__(
        self,
        *,
        session_id: str,
        key: bytes,
        nonce: bytes,
        root: bytes,
        raw_length: Callable[[ChunkIndex], int],
        want: WantMap,
        slot_bytes: int,
        slots: int,
        stall_s: float,
        now: float,
    ) -> None:
        self._lane = AskingLane(
            session_id=session_id,
            key=key,
            nonce=nonce,
            root=root,
            chunks=want.count,
            raw_length=raw_length,
            wanted=want.__contains__,
            slot_bytes=slot_bytes,
            stall_s=stall_s,
            now=now,
        )
        self._want = want
        self._picker = Picker(want)
        self._most = slots
        self._received: deque[Received] = deque()
        self._lost: OgcastError | None = None

    # ------------------------------------------------------------------ what there is

    @property
    def finished(self) -> bool:
        """Everything that was wanted came."""
        return self._lane.closed

    @property
    def failed(self) -> OgcastError | None:
        """Why nothing more will come."""
        return self._lost or self._lane.failed

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self.finished or self.failed is not None

    @property
    def under_way(self) -> frozenset[int]:
        """Chunks asked for, and those that came and were not judged yet."""
        return self._picker.under_way

    @property
    def begun(self) -> frozenset[int]:
        """Those of them whose bytes arrive, or are here."""
        arriving = self._lane.arriving
        return self._picker.held if arriving is None else self._picker.held | {arriving}

    @property
    def waiting(self) -> int:
        """Position in the queue for a turn; 0: not waiting."""
        return self._lane.waiting

    @property
    def waited(self) -> int:
        """Times the lane was told to wait."""
        return self._lane.waited

    @property
    def deadline(self) -> float:
        """When `handle_timer` has something to do."""
        return float("inf") if self.ended else self._lane.deadline

    # ------------------------------------------------------------------ slots

    @property
    def wants_slot(self) -> bool:
        """True when a further slot would let the lane ask for a further chunk."""
        if self.ended or not self._lane.opened or self._lane.slots >= self._limit:
            return False
        spare = self._lane.spare
        return self._picker.count(spare + 1) > spare

    def handle_slot(self, slot: Memory, now: float) -> None:
        """A slot to fill; the machine owns it until it comes out of `poll_received` or `release_all`."""
        self._lane.handle_slot(slot)
        self._ask(now)

    def take_slot(self) -> Memory | None:
        """A slot that no request which stands needs, back: others need the memory more."""
        return self._lane.take_slot(hurry=True)

    def release_all(self) -> None:
        """Give back every slot the machine still owns. The stream must not be fed afterwards."""
        self._lane.release_all()
        while self._received:
            self._received.popleft().slot.release()

    # ------------------------------------------------------------------ input

    def next_buffer(self) -> memoryview:
        """Where the next bytes from the socket belong."""
        return self._lane.next_buffer()

    def handle_filled(self, count: int, now: float) -> None:
        """`count` bytes were put there."""
        self._lane.handle_filled(count, now)
        self._ask(now)

    def handle_bytes(self, data: bytes | memoryview, now: float) -> None:
        """The same for bytes that lie elsewhere."""
        self._lane.handle_bytes(data, now)
        self._ask(now)

    def handle_eof(self, reason: str = "") -> None:
        """The connection ended or broke."""
        self._lane.handle_eof(reason)

    def handle_timer(self, now: float) -> None:
        """Call when `deadline` is reached; earlier is harmless."""
        if not self.ended:
            self._lane.handle_timer(now)

    def handle_change(self, now: float) -> None:
        """The want-map changed, or time passed: ask for, or give up, what follows from it."""
        self._ask(now)

    def accept(self, chunk: int) -> None:
        """The chunk was good."""
        self._picker.accept(chunk)

    def reject(self, chunk: int, reason: str) -> None:
        """The chunk was not what its digest says; it is asked for again, a few times."""
        self._picker.reject(chunk, reason)

    # ------------------------------------------------------------------ output

    def poll_bytes(self) -> bytes | None:
        """Bytes to send."""
        return self._lane.poll_bytes()

    def poll_received(self) -> Received | None:
        """The next chunk that came."""
        return self._received.popleft() if self._received else None

    # ------------------------------------------------------------------ asking

    @property
    def _limit(self) -> int:
        return min(self._most, self._lane.limit)

    def _ask(self, now: float) -> None:
        self._sort_events()
        if self.ended or not self._lane.opened:
            return
        self._lane.cancel([chunk for chunk in self._lane.asked if chunk not in self._want], now)
        while self._lane.spare and self._lane.under_way < self._limit:
            most = min(self._lane.spare, self._limit - self._lane.under_way, BATCH_CHUNKS)
            chunks = self._picker.take(most)
            if not chunks:
                break
            self._lane.ask(chunks, now)
        self._settle(now)

    def _sort_events(self) -> None:
        """Tell the picker what became of what was asked."""
        while (event := self._lane.poll_event()) is not None:
            match event:
                case Received():
                    self._picker.arrived(event.chunk)
                    self._received.append(event)
                case Refused():
                    self._picker.give_up(event.chunk, event.text)
                case Returned():
                    self._picker.returned(event.chunk)

    def _settle(self, now: float) -> None:
        """When nothing is under way: go over the map once more, then end."""
        if self._picker.busy or self._received or self._lane.busy:
            return
        if self._picker.rewind():
            if self._lane.spare:
                self._ask(now)
            return
        if lost := self._picker.lost:
            named = ", ".join(f"{chunk}: {reason}" for chunk, reason in list(lost.items())[:4])
            self._lost = ChunkError(
                f"{len(lost)} chunk(s) cannot be had from the repository; chunk {named}",
                hint="run `repod verify` at the repository; everything else has arrived",
            )
            return
        self._lane.close()
