"""What blocks still need after their chunk was sent: deficits of reports made into fresh symbols, never twice.

A report says up to which packet it knows (`as_of`). What was sent of a block after that packet is on its way and is
taken off the deficit; what remains above what is already due is added to it. So any number of stale, repeated or
contradicting reports costs nothing, without timers: one packet mends a different hole in every member, and the sum of
what is sent is the worst deficit. Fresh means parity k … 255, then all 256 symbols again, round and round. Who still
asks then has most of them, and nobody knows which: so they come in large steps, and more are sent than it lacks.

When the originals are sent again, who asks afterwards has hardly any parity of earlier times, and all of it is fresh
again. Where repairs are due just then, whoever waits for them may have some, and who lacks a part of the chunk alone
took what followed the other part: for these it goes on behind what was sent last.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transports.multicast.proto.layout import Layout

__all__ = ["MAX_TRACKED_CHUNKS", "ChunkRepair", "RepairBurst", "Repairs"]

MAX_TRACKED_CHUNKS = 1024
"""Chunks whose repairs are remembered; of an older one the whole is sent again when somebody asks."""
HISTORY_BURSTS = 32
"""Repair bursts of a chunk remembered; a report older than them all is taken for stale."""
NOBODY = -1
SYMBOLS = 256
"""Of a block: originals and parity."""
STEP = 157
"""About the golden share of SYMBOLS, and odd: whatever run of symbols somebody has, such steps soon leave it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairBurst:
    """Symbols to send now, and whom alone they serve."""

    blocks: NDArray[np.uint8]
    symbols: NDArray[np.uint8]
    counts: NDArray[np.int32]
    """Symbols of each block."""
    ahead: NDArray[np.int32]
    """What is due of each block after them."""
    sole: dict[int, int]
    """Member place to the number of symbols nobody else asked for."""


class ChunkRepair:
    """Repairs of one chunk."""

    __slots__ = (
        "_first",
        "_floor",
        "_history",
        "_late_for",
        "_most_sent",
        "_next",
        "_owner",
        "_part",
        "_second",
        "asked_at",
        "due",
        "encoding",
        "k",
        "late",
        "layout",
        "sent_at",
    )

    def __init__(self, layout: Layout, encoding: int) -> None:
        blocks = layout.blocks
        self.layout = layout
        self.encoding = encoding
        self.k = layout.block_symbols()
        self.due = np.zeros(blocks, dtype=np.int32)
        """Symbols to send of each block."""
        self.late = np.zeros(blocks, dtype=np.int32)
        """The same for members nobody shall wait for: sent when there is nothing else."""
        self._late_for = 0
        """Places of the members that asked for these, as bits."""
        self.asked_at = 0.0
        """When the oldest unserved deficit came."""
        self.sent_at: int | None = None
        """Sequence of the last original; None while they are being sent."""
        self._second = np.zeros(blocks, dtype=np.int32)
        self._owner = np.full(blocks, NOBODY, dtype=np.int32)
        self._next = np.zeros(blocks, dtype=np.int64)
        """Repairs sent since the originals were sent last."""
        self._most_sent = 0
        """No block had more of them."""
        self._first = np.zeros(blocks, dtype=np.int64)
        """Which parity was the first of them."""
        self._part = False
        """Of the originals only some were sent last."""
        self._history: deque[tuple[int, NDArray[np.int32]]] = deque()
        self._floor = 0

    @property
    def repaired(self) -> bool:
        """Repairs of it were sent since its originals were, or for some of them."""
        return self._part or self._most_sent > 0

    def merge(
        self, blocks: NDArray[np.int64], deficits: NDArray[np.int64], *, as_of: int, place: int, late: bool
    ) -> bool:
        """Add what one report says; False if the report is too old to say anything."""
        if self.sent_at is None or as_of < self.sent_at or as_of < self._floor:
            return False
        coming = np.zeros(len(blocks), dtype=np.int32)
        for sequence, counts in reversed(self._history):
            if sequence <= as_of:
                break
            coming += counts[blocks]
        if self._most_sent >= SYMBOLS - self.k[0]:  # all parity may have been sent; the first block is the longest
            parity = SYMBOLS - self.k[blocks]
            # of the symbols sent from now on it may have all but that many
            useful = np.where(self._next[blocks] - coming >= parity, (parity + deficits) / SYMBOLS, 1.0)
            deficits = np.ceil(deficits / useful)
        need = deficits.astype(np.int32) - coming
        if late:
            self.late[blocks] = np.maximum(self.late[blocks], need)
            self._late_for |= 1 << place
            return True
        due, owner, second = self.due[blocks], self._owner[blocks], self._second[blocks]
        higher, mine = need > due, owner == place
        second_or_need = np.where(mine, second, np.maximum(second, need))
        if not higher.any():  # others lack as much: so it is for all but the first who asks
            self._second[blocks] = second_or_need
            return True
        self._second[blocks] = np.where(higher, np.where(mine, second, due), second_or_need)
        self._owner[blocks] = np.where(higher, place, owner)
        self.due[blocks] = np.maximum(due, need)
        return True

    def add_all(self, symbols: int) -> None:
        """Send at least `symbols` more of each block, asked or not."""
        self._second = np.maximum(self._second, symbols).astype(np.int32)
        self.due = np.maximum(self.due, symbols).astype(np.int32)

    def forget(self, place: int) -> None:
        """The member at `place` waits for nothing: what it alone asked for is not sent.

        Of late members nobody knows who asked for how much; those that remain ask again long before it is sent.
        """
        alone = self._owner == place
        self.due = np.where(alone, self._second, self.due).astype(np.int32)
        self._owner[alone] = NOBODY
        if self._late_for >> place & 1:
            self._late_for = 0
            self.late[:] = 0

    def defer(self, place: int) -> None:
        """What the member at `place` alone asked for is sent when there is nothing else."""
        alone = self._owner == place
        if not alone.any():
            return
        self.late = np.where(alone, np.maximum(self.late, self.due), self.late).astype(np.int32)
        self._late_for |= 1 << place
        self.due = np.where(alone, self._second, self.due).astype(np.int32)
        self._owner[alone] = NOBODY

    def take(self, limit: int, *, late: bool, spare: int = 0) -> RepairBurst:
        """Up to `limit` fresh symbols of what is due, dealt over the blocks; with the last of them, as far as there is
        room, `spare` more of each block, which nobody asked for."""
        asked = wanted = np.maximum(self.late if late else self.due, 0)
        if spare:
            more = np.where(asked > 0, asked + spare, 0)
            wanted = more if more.sum() <= limit else asked
        # one of each block that lacks any, then one of each that lacks a second …
        turn, blocks = (np.arange(wanted.max())[:, None] < wanted).nonzero()
        turn, blocks = turn[:limit], blocks[:limit]
        number, k = self._next[blocks] + turn, self.k[blocks]
        parity = SYMBOLS - k
        symbols = k + (self._first[blocks] + number) % parity
        if len(turn):
            self._most_sent += int(turn[-1]) + 1
        if self._most_sent > SYMBOLS - self.k[0]:
            symbols = np.where(number < parity, symbols, number * STEP % SYMBOLS)
        counts = np.bincount(blocks, minlength=len(wanted)).astype(np.int32)
        sole: dict[int, int] = {}
        if not late:
            alone = np.maximum(counts - (wanted - asked) - self._second, 0)
            for block in ((alone > 0) & (self._owner != NOBODY)).nonzero()[0].tolist():
                owner = int(self._owner[block])
                sole[owner] = sole.get(owner, 0) + int(alone[block])
        self._next += counts
        self.due = np.maximum(self.due - counts, 0)
        self.late = np.maximum(self.late - counts, 0)
        self._second = np.maximum(self._second - counts, 0)
        self._owner[self.due == 0] = NOBODY
        return RepairBurst(
            blocks=blocks.astype(np.uint8),
            symbols=symbols.astype(np.uint8),
            counts=counts,
            ahead=np.maximum(wanted - counts, 0),
            sole=sole,
        )

    def note_sent(self, last_sequence: int, counts: NDArray[np.int32]) -> None:
        """What `take` gave went out, ending at `last_sequence`."""
        self._history.append((last_sequence, counts))
        if len(self._history) > HISTORY_BURSTS:
            self._floor, _ = self._history.popleft()

    def note_unsent(self, last_sequence: int) -> None:
        """What was noted as sent beyond `last_sequence` was not."""
        while self._history and self._history[-1][0] > last_sequence:
            self._history.pop()
        if self.sent_at is not None:
            self.sent_at = min(self.sent_at, last_sequence)

    def restart(self, *, part: bool = False) -> None:
        """The originals, or a part of them, are sent again: what was due comes with them."""
        goes_on = part | (self.due > 0) | (self.late > 0)
        self._first = np.where(goes_on, (self._first + self._next) % (SYMBOLS - self.k), 0)
        self._part = part
        self._next[:] = 0
        self._most_sent = 0
        self.due[:] = 0
        self.late[:] = 0
        self._late_for = 0
        self._second[:] = 0
        self._owner[:] = NOBODY
        self.sent_at = None


class Repairs:
    """Repairs of all chunks of a cast, the longest unserved first."""

    def __init__(self) -> None:
        self._chunks: OrderedDict[int, ChunkRepair] = OrderedDict()
        self._due: dict[int, ChunkRepair] = {}
        self._late: dict[int, ChunkRepair] = {}
        self.forgotten = 0
        """Chunks whose repairs were dropped because too many were remembered."""

    def __contains__(self, chunk: int) -> bool:
        return chunk in self._chunks

    def tracked_of(self, chunks: NDArray[np.bool_]) -> list[int]:
        """Which of `chunks`, one flag each, were sent and are not forgotten."""
        return [chunk for chunk in self._chunks if chunks[chunk]]

    def __getitem__(self, chunk: int) -> ChunkRepair:
        return self._chunks[chunk]

    @property
    def pending(self) -> int:
        """Symbols due."""
        return sum(int(repair.due.sum()) for repair in self._due.values())

    @property
    def any_due(self) -> bool:
        """Somebody waits for a repair."""
        return bool(self._due)

    @property
    def any_late(self) -> bool:
        """Somebody nobody waits for lacks something."""
        return bool(self._late)

    def chunks_due(self, limit: int) -> list[int]:
        """Chunks that will be repaired next, for reading ahead."""
        return [*self._due, *self._late][:limit]

    def start(self, chunk: int, layout: Layout, encoding: int, *, part: bool = False) -> None:
        """The originals of `chunk`, or a part of them, are sent from now on."""
        repair = self._chunks.get(chunk)
        if repair is None:
            repair = self._chunks[chunk] = ChunkRepair(layout, encoding)
            if len(self._chunks) > MAX_TRACKED_CHUNKS:
                old, _ = self._chunks.popitem(last=False)
                self._due.pop(old, None)
                self._late.pop(old, None)
                self.forgotten += 1
        else:
            repair.restart(part=part)
            self._due.pop(chunk, None)
            self._late.pop(chunk, None)
        self._chunks.move_to_end(chunk)

    def finish(self, chunk: int, last_sequence: int) -> None:
        """The last original of `chunk` went out as `last_sequence`."""
        if chunk in self._chunks:
            self._chunks[chunk].sent_at = last_sequence

    def handle_unsent(self, chunk: int, last_sequence: int) -> None:
        """What was to be sent of `chunk` beyond `last_sequence` was not: reports from there on are not too old."""
        if chunk in self._chunks:
            self._chunks[chunk].note_unsent(last_sequence)

    def merge(
        self,
        chunk: int,
        blocks: NDArray[np.int64],
        deficits: NDArray[np.int64],
        *,
        as_of: int,
        place: int,
        late: bool,
        now: float,
    ) -> bool:
        """Add what one report says of one chunk; False if it is stale."""
        repair = self._chunks[chunk]
        if not repair.merge(blocks, deficits, as_of=as_of, place=place, late=late):
            return False
        self._note(chunk, repair, now, late=late)
        return True

    def add_all(self, chunk: int, symbols: int, now: float) -> None:
        """Send at least `symbols` more of each block of `chunk`."""
        repair = self._chunks[chunk]
        repair.add_all(symbols)
        self._note(chunk, repair, now, late=False)

    def oldest(self, *, late: bool) -> tuple[int, float] | None:
        """The chunk that waits longest, and since when."""
        waiting = self._late if late else self._due
        for chunk, repair in waiting.items():
            return chunk, repair.asked_at
        return None

    def take(self, chunk: int, limit: int, *, late: bool, spare: int = 0) -> RepairBurst:
        """Symbols of `chunk` to send now; follow with `note_sent`. `spare`: see ChunkRepair.take."""
        repair = self._chunks[chunk]
        burst = repair.take(limit, late=late, spare=spare)
        self._drop_served(chunk, repair)
        return burst

    def forget(self, place: int) -> None:
        """A member waits for nothing any more, or not here."""
        for chunk, repair in {**self._due, **self._late}.items():
            repair.forget(place)
            self._drop_served(chunk, repair)

    def defer(self, place: int) -> None:
        """Nobody is to wait for a member any more: not for what it asked for before, either."""
        for chunk, repair in list(self._due.items()):
            repair.defer(place)
            self._drop_served(chunk, repair)
            if repair.late.any():
                self._late.setdefault(chunk, repair)

    def _drop_served(self, chunk: int, repair: ChunkRepair) -> None:
        if not repair.due.any():
            self._due.pop(chunk, None)
        if not repair.late.any():
            self._late.pop(chunk, None)

    def _note(self, chunk: int, repair: ChunkRepair, now: float, *, late: bool) -> None:
        """More is due of a chunk; `late`: for late members."""
        if chunk not in self._due and repair.due.any():
            repair.asked_at = now
            self._due[chunk] = repair
        if late and repair.late.any():
            self._late.setdefault(chunk, repair)
