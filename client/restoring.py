"""Restore: one image onto one target that passed preflight, from sources, resumable, read back if asked."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from client.budget import budget_for
from client.figures import Figures
from client.journal import Journal, JournalIdentity, journal_path, read_journal
from client.preflight import Needs, OpenTarget
from client.proto.plan import RestorePlan
from client.readback import SAMPLE_CHUNKS, VerifyMode, check_zeros, matching_chunks
from client.run import Run, in_thread
from client.session import Session
from client.sources.base import Source
from client.sources.remote import RemoteSource
from client.targets import PartitionTarget
from client.ticker import Ticker
from core.errors import TransferError
from core.ids import ChunkIndex
from images.manifest import Manifest

__all__ = ["Restore", "needs_of"]


def needs_of(manifest: Manifest) -> Needs:
    """What preflight must find in a target of this image."""
    return Needs(
        size=manifest.size,
        data_bytes=manifest.data_bytes,
        sector_size=manifest.sector_size,
        alignment=manifest.extents.alignment,
    )


class Restore:
    """One restore. The target is the caller's, and closed when `perform` returns or raises."""

    def __init__(
        self,
        run: Run,
        manifest: Manifest,
        target: OpenTarget,
        *,
        sources: Sequence[Source],
        remote: RemoteSource | None,
        discard: bool,
        verify: VerifyMode,
    ) -> None:
        self._run = run
        self._manifest = manifest
        self._open = target
        self._sink = target.sink
        self._sources = sources
        self._remote = remote
        self._verify = verify
        self._plan = RestorePlan(manifest)
        self._workers = budget_for(manifest.chunk_size).workers
        self._identity = JournalIdentity(root=manifest.root, target=self._sink.identity, chunks=manifest.chunk_count)
        self._journal_path = journal_path(run.settings.state_path, self._sink.name)
        self._journal = Journal(self._journal_path, self._identity)
        self._target = PartitionTarget(self._sink, self._plan, self._journal, discard=discard)
        self.figures = Figures()
        last = manifest.chunk_count - 1  # the only chunk that may be short
        self._raw_total = last * manifest.chunk_size + manifest.raw_length(last) if last >= 0 else 0
        self._ticker = Ticker(
            run, self.figures, total_bytes=self._raw_total, chunks=manifest.chunk_count, remote=remote
        )
        self.brake: Mapping[str, float] = {}
        self.on_written: Callable[[Sequence[ChunkIndex]], None] = lambda chunks: None
        """Told, on whatever thread, which verified chunks can be read from the target from now on."""
        self.on_fetched: Callable[[], None] = lambda: None
        """Called when all is fetched, before what was written is on stable storage."""

    async def perform(self) -> None:
        """Return when the target holds the image on stable storage, read back as asked."""
        async with self._ticker.ending():
            try:
                await self._perform()
            finally:
                self._journal.close()
                if self._target.begun:
                    self._open.close()
                else:
                    self._open.abandon()

    async def _perform(self) -> None:
        for notice in self._open.notices:
            self._run.notice(notice)
        have = await self._have()
        self._target.on_written = self.on_written
        self.on_written([ChunkIndex(chunk) for chunk in have])
        if self._sink.reads_back:
            self._journal.start(sorted(have))
            self._tell_trouble()
            if self._journal.trouble is None:
                self._run.resume_hint = "interrupted; run the same command again to go on from here"
        want = self._plan.want(have)
        session = Session(
            self._manifest,
            want=want,
            sources=self._sources,
            target=self._target,
            figures=self.figures,
            on_event=self._run.event,
            on_verified=self._remote.verified if self._remote is not None else None,
        )
        async with self._ticker.running(session.brake):
            try:
                await session.run()
            finally:
                self.brake = session.brake.shares(time.monotonic())
        self._ticker.progress()
        self.on_fetched()
        await in_thread(lambda _: self._target.begin())
        if self._target.discard_refused:
            self._run.notice(f"{self._sink.name} cannot discard; free space was left as it was")
        self._run.stage("sync", f"waiting until {self._sink.name} has everything on stable storage")
        await in_thread(lambda _: self._sink.flush())
        if self._journal.trouble is not None and not have:
            self._tell_trouble()
        await self._read_back()
        self._journal.remove()

    async def _have(self) -> set[int]:
        """Chunks that an earlier run wrote and that are still there."""
        if not self._sink.reads_back:
            return set()
        noted, notice = read_journal(self._journal_path, self._identity)
        if notice is not None:
            self._run.notice(notice)
        if not noted:
            return set()
        self._run.stage("check", f"checking {len(noted)} chunks that an earlier run wrote")
        good = await self._compare([ChunkIndex(chunk) for chunk in noted], "checking")
        self.figures.raw_bytes_before = sum(self._manifest.raw_length(chunk) for chunk in good)
        self.figures.chunks_done = len(good)
        return good

    async def _read_back(self) -> None:
        if self._verify is VerifyMode.NONE or not self._sink.reads_back:
            return
        chunks = self._plan.sample(
            SAMPLE_CHUNKS if self._verify is VerifyMode.SAMPLE else self._manifest.chunk_count, random.Random()
        )
        self._run.stage("verify", f"reading {len(chunks)} chunks back from {self._sink.name}")
        await in_thread(lambda _: self._sink.drop_cache())
        good = await self._compare(chunks, "verifying")
        if bad := [chunk for chunk in chunks if chunk not in good]:
            # the journal stays: the next run checks every chunk it names, and fetches these again
            raise TransferError(
                f"{self._sink.name}: {len(bad)} of {len(chunks)} chunks do not read back as written "
                f"(the first is chunk {bad[0]})",
                hint="the disk is failing, or something else writes to it; run again to write them again",
            )
        if self._verify is VerifyMode.FULL:
            await in_thread(lambda cancelled: check_zeros(self._sink, self._plan, cancelled=cancelled))

    async def _compare(self, chunks: list[ChunkIndex], state: str) -> set[int]:
        total = sum(self._manifest.raw_length(chunk) for chunk in chunks)
        count: Callable[[int], None] = self._ticker.counter(state, total)
        done = 0

        def checked(chunk: int, good: bool) -> None:
            nonlocal done
            done += self._manifest.raw_length(chunk)
            count(done)

        def work(cancelled: threading.Event) -> set[int]:
            return matching_chunks(
                self._sink, self._plan, chunks, workers=self._workers, on_checked=checked, cancelled=cancelled
            )

        return await in_thread(work)

    def _tell_trouble(self) -> None:
        if self._journal.trouble is not None:
            self._run.warning(self._journal.trouble)

    def result(self, command: str, *, method: str) -> dict[str, Any]:
        """Fields of the event `done`."""
        figures = self.figures
        seconds = self._run.seconds
        done = figures.raw_bytes
        return {
            "command": command,
            "image": str(self._manifest.ref),
            "target": self._sink.name,
            "method": method,
            "image_bytes": self._manifest.size,
            "data_bytes": self._manifest.data_bytes,
            "chunks": self._manifest.chunk_count,
            "chunks_fetched": sum(figures.chunks_by_source.values()),
            "bytes_by_source": dict(figures.bytes_by_source),
            "chunks_by_source": dict(figures.chunks_by_source),
            "bytes_received": figures.bytes_received,
            "bytes_resumed": figures.raw_bytes_before,
            "bytes_written": figures.bytes_written,
            "bad_chunks": figures.bad_chunks,
            "reconnects": figures.reconnects,
            "duplicates": figures.duplicates + (self._remote.duplicate_chunks if self._remote else 0),
            "duplicate_bytes": figures.duplicate_bytes + (self._remote.duplicate_bytes if self._remote else 0),
            "verified": self._verify.value if self._sink.reads_back else VerifyMode.NONE.value,
            "seconds": round(seconds, 3),
            "rate_bytes_per_s": round(done / seconds) if seconds > 0 else 0,
            "brake": max(self.brake, key=lambda stage: self.brake[stage]) if done else None,
            "brake_shares": dict(self.brake),
        }
