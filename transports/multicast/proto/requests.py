"""What members ask for, taken from reports, and from what they say on their lanes, into demand and repairs.

A report can only raise what is due, within the bounds of the image and of what was sent since; whatever else it says
is counted and forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from core.errors import OgcastError
from transports.multicast.proto.burst import Totals
from transports.multicast.proto.demand import Demand
from transports.multicast.proto.heads import Heads
from transports.multicast.proto.limits import WHOLE_CHUNK
from transports.multicast.proto.members import Member, Members
from transports.multicast.proto.repair import Repairs
from transports.multicast.proto.reports import Report, ReportFlags, member_of, split_entries

__all__ = ["Requests"]

LEAST_ARRIVES = 0.5
"""Of what is sent to a late member; a larger loss is not made up for."""
LATE_MORE = 1
"""Symbols of a block beyond what arrives of them on the average."""


class Requests:
    """Merges the reports of one cast."""

    def __init__(
        self, *, cast_id: int, members: Members, demand: Demand, heads: Heads, repairs: Repairs, totals: Totals
    ) -> None:
        self._cast_id = cast_id
        self._members = members
        self._demand = demand
        self._heads = heads
        self._repairs = repairs
        self._totals = totals
        self.asked_by: dict[int, int] = {}
        """Chunk to the place of the member that asked for the whole of it last."""

    def handle_report(self, data: bytes | memoryview, *, sequence: int, current: int | None, now: float) -> bool:
        """A datagram from anybody; False if it was refused.

        `sequence` is the next to be sent, `current` the chunk whose originals are being sent.
        """
        try:
            member = self._members.get(member_of(data))
            report = None if member is None else Report.parse(data, member.key)
            good = (
                member is not None
                and report is not None
                and report.cast_id == self._cast_id
                and member.since < report.as_of < sequence
                and report.span <= report.as_of
                and member.handle_report(report, now)
            )
        except OgcastError:
            good = False
        if not good or member is None or report is None:
            self._totals.reports_refused += 1
            return False
        self._totals.reports += 1
        self._totals.reports_cut += ReportFlags.MORE in report.flags
        if member.lane != "unicast" and not member.done:
            self._merge(member, report, current, now)
        return True

    def handle_again(self, member: Member, chunks: NDArray[np.bool_]) -> None:
        """A member wants the whole of `chunks`, one flag each, that it had withdrawn or never asked for."""
        self._heads.forget(member.place, chunks)
        self._demand.ask_all(member.place, chunks)
        again = self._repairs.tracked_of(chunks)
        self.asked_by.update(dict.fromkeys(again, member.place))
        member.missing_chunks = max(member.missing_chunks, int(chunks.sum()))
        member.done = member.missing_chunks == 0

    def forget(self, place: int) -> None:
        """The member at `place` waits for nothing any more; another may get its place."""
        self.asked_by = {chunk: other for chunk, other in self.asked_by.items() if other != place}

    def _merge(self, member: Member, report: Report, current: int | None, now: float) -> None:
        chunks, blocks, deficits = split_entries(report.entries)
        late = member.lane == "late" and self._members.lacking > 1
        asked = dict.fromkeys(chunks.tolist())
        if not member.asking.take(max(1, len(asked)), now):
            self._totals.reports_passed_over += 1
            return
        for chunk, block, deficit in _by_chunk(asked, chunks, blocks, deficits):
            if chunk >= len(self._demand.counts):
                self._totals.entries_refused += len(block)
                continue
            highest = int(block.max())
            if highest == WHOLE_CHUNK or chunk not in self._repairs:
                self._ask_whole(member, chunk, report.as_of, current)
                continue
            k = self._repairs[chunk].k
            if highest >= len(k):
                block, deficit = self._keep_good(block < len(k), block, deficit)
            good = (deficit > 0) & (deficit <= k[block])
            if not good.all():
                block, deficit = self._keep_good(good, block, deficit)
            if self._demand.wants(member.place, chunk):
                # It joined while the chunk was sent: what it missed comes when the carousel is there again.
                self._note_head(member, chunk, block, deficit, report.as_of)
                self._totals.entries_stale += len(block)
                continue
            if member.lane == "late":  # it alone pays for what is sent in vain, and each round of asking costs it more
                deficit = np.ceil(deficit / max(LEAST_ARRIVES, 1 - member.loss)).astype(np.int64) + LATE_MORE
            if len(block) and not self._repairs.merge(
                chunk, block, deficit, as_of=report.as_of, place=member.place, late=late, now=now
            ):
                self._totals.entries_stale += len(block)

    def _keep_good(
        self, good: NDArray[np.bool_], block: NDArray[np.int64], deficit: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Both without the others, which are counted."""
        self._totals.entries_refused += len(good) - int(np.count_nonzero(good))
        return block[good], deficit[good]

    def _note_head(
        self, member: Member, chunk: int, block: NDArray[np.int64], deficit: NDArray[np.int64], as_of: int
    ) -> None:
        repair = self._repairs[chunk]
        if repair.sent_at is not None and as_of >= repair.sent_at:
            missed = np.zeros(len(repair.k), dtype=np.int64)
            missed[block] = deficit
            # who joined while it was sent has its last row: the rest of a chunk is never empty
            self._heads.handle_missed(member.place, chunk, min(int(missed.sum()), repair.layout.symbols - 1))

    def _ask_whole(self, member: Member, chunk: int, as_of: int, current: int | None) -> None:
        """Nothing of a chunk is there. If it was sent after what the member has seen, that sending is under way."""
        if chunk in self._repairs:
            sent_at = self._repairs[chunk].sent_at
            if sent_at is None or as_of < sent_at:
                self._totals.entries_stale += 1
                return
        self._heads.handle_whole(member.place, chunk)
        if chunk != current and self._demand.ask(member.place, chunk):
            self.asked_by[chunk] = member.place


def _by_chunk(
    asked: Collection[int], chunks: NDArray[np.int64], blocks: NDArray[np.int64], deficits: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Each chunk of `asked` with its blocks and deficits; `asked` are all of `chunks`, in the order of their first.

    Members say all of a chunk together; who does not is understood as well.
    """
    edges = ((chunks[1:] != chunks[:-1]).nonzero()[0] + 1).tolist()
    if len(edges) < len(asked):
        for chunk, start, stop in zip(asked, [0, *edges], [*edges, len(chunks)], strict=True):
            yield chunk, blocks[start:stop], deficits[start:stop]
    else:
        for chunk in asked:
            mine = chunks == chunk
            yield chunk, blocks[mine], deficits[mine]
