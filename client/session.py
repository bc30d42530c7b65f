"""The client session: stored chunks from sources, each verified in one place, then written.

    source ──delivery──▶ frame slot ──decode + digest (verifier's threads)──▶ raw slot ──writer's thread──▶ target

Two arenas bound what is between the stages; a slot is released by whoever is done with it, and a released frame slot
is what lets the lane ask for more, so that a slow disk slows the sender down and never fills memory. What is stored as
it is needs no raw slot: it is checked and written where it came, as long as only a part of the frame slots waits so.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from client.budget import Budget, budget_for
from client.figures import Figures
from client.proto.brake import BrakeMeter
from client.proto.retry import FAILURES_LEAST, RetryPolicy
from client.sources.base import Source
from client.targets import Target
from client.verifier import Verifier
from client.writer import Verified, Writer
from core.arena import Arena, Slot
from core.ending import first_error
from core.errors import ChunkError, ConnectionFailedError, RemoteError, SessionOverError, TransferError
from core.ids import ChunkIndex
from core.wantmap import WantMap
from images.manifest import Manifest
from images.stores import Encoding
from transports.base import Delivery, Incoming

__all__ = ["BAD_DELIVERIES_MAX", "LENT_SHARE", "NO_PROGRESS_LIMIT_S", "Session"]

BAD_DELIVERIES_MAX = 3
"""Times one chunk may arrive wrong from one source before the session gives up: the store itself is damaged."""
NO_PROGRESS_LIMIT_S = 120.0
"""Time without one new chunk after which a broken path is given up: longer than a repository takes to restart."""
LENT_SHARE = 4
"""One in so many frame slots, at most, waits for the disk as content: the lane has the others, whatever it does."""
RETRY_FIRST_S = 0.2
RETRY_LONGEST_S = 4.0
"""So long, at most, a repository is back and not noticed; of a thousand clients three hundred a second look."""


class Session:
    """Takes what `want` names from `sources`, in their order, into `target`.

    The caller owns `want`, `target` and `figures`; the session discards chunks from `want` as they are verified, and
    passes the stored frame of each to `on_verified`, which must not keep it.
    One `run` per session.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        want: WantMap,
        sources: Sequence[Source],
        target: Target,
        figures: Figures,
        on_event: Callable[[str, Mapping[str, Any]], None],
        on_verified: Callable[[ChunkIndex, memoryview, Encoding], None] | None = None,
        rng: random.Random | None = None,
        budget: Budget | None = None,
        no_progress_limit_s: float = NO_PROGRESS_LIMIT_S,
    ) -> None:
        self._manifest = manifest
        self._want = want
        self._sources = list(sources)
        self._target = target
        self._figures = figures
        self._on_event = on_event
        self._on_verified = on_verified
        self._random = rng or random.Random()
        self._limit_s = no_progress_limit_s
        self._budget = budget or budget_for(manifest.chunk_size)
        self._frames = Arena(slot_bytes=self._budget.frame_bytes, slots=self._budget.frame_slots)
        self._raw = Arena(slot_bytes=self._budget.raw_bytes, slots=self._budget.raw_slots)
        slots = self._budget.frame_slots if target.keeps_frames else self._budget.raw_slots
        self.brake = BrakeMeter(
            now=time.monotonic(), workers=self._budget.workers, write_backlog=slots - self._budget.workers
        )
        self._decoding = 0
        self._writing = 0
        self._lent = 0
        """Frame slots whose bytes are written as they came."""
        self._in_hand: set[int] = set()
        self._bad: Counter[tuple[int, str]] = Counter()
        self._retry: RetryPolicy | None = None

    async def run(self) -> None:
        """Return when every wanted chunk is verified and written (not yet synced).

        Raises TransferError when no source can give the rest, ChunkError when the image itself is damaged, and what
        writing to the target raises.
        """
        self._retry = RetryPolicy(
            now=time.monotonic(),
            limit_s=self._limit_s,
            first_s=RETRY_FIRST_S,
            longest_s=RETRY_LONGEST_S,
            rng=self._random,
            least=FAILURES_LEAST,
        )
        writer = Writer(self._target.write)
        verifier = Verifier(self._budget.workers, writer)
        try:
            for number, source in enumerate(self._sources, start=1):
                if len(self._want):
                    self.brake.handle_source(time.monotonic(), source.supply)
                    await self._drain(source, verifier, last=number == len(self._sources))
        finally:
            try:
                await verifier.close()
            finally:  # last: what counts as good is written, and who waits for that may be cancelled
                await writer.close()
        if len(self._want):
            raise TransferError(
                f"{len(self._want)} of {self._manifest.chunk_count} chunks are missing and nobody has them",
                hint="`repod verify` on the repository names what is damaged there",
            )

    async def _drain(self, source: Source, verifier: Verifier, *, last: bool) -> None:
        """Take what `source` gives, again after each break, until nothing is wanted or it has no more."""
        while len(self._want):
            before = len(self._want)
            failure = await self._take_all(source, verifier)
            if failure is None and not last and len(self._want) == before:
                return  # it has no more; the next source may
            if len(self._want) and (failure is not None or len(self._want) == before):
                ended = ConnectionFailedError(f"the {source.label} ended before the image was complete")
                await self._pause(source, failure or ended)

    async def _pause(self, source: Source, failure: ConnectionFailedError) -> None:
        assert self._retry is not None
        if isinstance(failure, SessionOverError):
            self._retry.handle_answer()
        delay = self._retry.poll_delay(time.monotonic())
        if delay is None:
            raise TransferError(
                f"no new chunk from the {source.label} for {self._limit_s:.0f} s: {failure}",
                hint=f"{len(self._want)} chunks are missing; run the command again to go on from there",
            ) from failure
        self._figures.reconnects += 1
        self._on_event("retry", {"source": source.label, "message": str(failure), "delay_s": round(delay, 2)})
        await asyncio.sleep(delay)

    async def _take_all(self, source: Source, verifier: Verifier) -> ConnectionFailedError | None:
        """One lane from its opening to its end; None if it ended well."""
        try:
            async with source.fetch(manifest=self._manifest, want=self._want, arena=self._frames) as incoming:
                await self._receive(incoming, verifier)
        except ConnectionFailedError as error:
            return error
        return None

    async def _receive(self, incoming: Incoming, verifier: Verifier) -> None:
        """Take deliveries until there are no more; tasks are bounded by the slots of the frame arena."""
        broken: RemoteError | None = None
        try:
            async with asyncio.TaskGroup() as hands:
                try:
                    async for delivery in incoming:
                        hands.create_task(self._take(delivery, incoming, verifier))
                except RemoteError as error:
                    broken = error  # what was delivered before stays good: leaving the group lets it be written
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        if broken is not None:
            raise broken

    async def _take(self, delivery: Delivery, incoming: Incoming, verifier: Verifier) -> None:
        """One chunk: decode, check, write. On cancellation its slots stay taken: threads may still work on them."""
        chunk = delivery.chunk
        if chunk not in self._want or chunk in self._in_hand:
            self._figures.duplicates += 1
            self._figures.duplicate_bytes += len(delivery.frame)
            incoming.accept(delivery)
            delivery.release()
            return
        self._in_hand.add(chunk)
        self._count(decoding=1)
        raw = None if self._lends(delivery) else await self._raw.acquire()
        content = delivery.frame if raw is None else raw.view[: self._manifest.raw_length(chunk)]
        self._lent += raw is None
        needed: Slot | Delivery = delivery if raw is None or self._target.keeps_frames else raw

        def pass_on() -> None:
            self._in_hand.discard(chunk)
            self._note_verified(delivery)
            incoming.accept(delivery)
            if raw is not None:
                (raw if needed is delivery else delivery).release()
            self._count(decoding=-1, writing=1)

        item = Verified(chunk=chunk, raw=content, frame=delivery.frame, encoding=delivery.encoding)
        reason = await verifier.verify(delivery, item, self._manifest.digest(chunk), on_good=pass_on)
        if reason is not None:
            self._in_hand.discard(chunk)
            self._count(decoding=-1)
            if raw is None:
                self._lent -= 1
            else:
                raw.release()
            self._reject(delivery, incoming, reason)
            return
        self._count(writing=-1)
        self._lent -= raw is None
        needed.release()
        self._figures.raw_bytes += len(content)
        self._figures.chunks_done += 1
        self._figures.bytes_written = self._target.bytes_written

    def _lends(self, delivery: Delivery) -> bool:
        """Whether the frame is the content, to be written from the slot it came in."""
        if delivery.encoding is not Encoding.RAW or len(delivery.frame) != self._manifest.raw_length(delivery.chunk):
            return False
        return self._target.keeps_frames or self._lent < self._budget.frame_slots // LENT_SHARE

    def _note_verified(self, delivery: Delivery) -> None:
        self._want.discard(delivery.chunk)
        self._figures.bytes_by_source[delivery.source] += len(delivery.frame)
        self._figures.chunks_by_source[delivery.source] += 1
        assert self._retry is not None
        self._retry.handle_progress(time.monotonic())
        if self._on_verified is not None:
            self._on_verified(delivery.chunk, delivery.frame, delivery.encoding)

    def _reject(self, delivery: Delivery, incoming: Incoming, reason: str) -> None:
        chunk, source = delivery.chunk, delivery.source
        self._figures.bad_by_source[source] += 1
        self._bad[(chunk, source)] += 1
        self._on_event("bad-chunk", {"chunk": chunk, "source": source, "message": reason})
        incoming.reject(delivery, reason)
        delivery.release()
        if self._bad[(chunk, source)] >= BAD_DELIVERIES_MAX:
            raise ChunkError(
                f"chunk {chunk} from {source} was wrong {BAD_DELIVERIES_MAX} times: {reason}",
                hint="`repod verify` on the repository names what is damaged there; nothing wrong was written",
            )

    def _count(self, *, decoding: int = 0, writing: int = 0) -> None:
        self._decoding += decoding
        self._writing += writing
        self.brake.handle_load(
            time.monotonic(), decoding=self._decoding, writing=self._writing, complete=not self._want
        )
