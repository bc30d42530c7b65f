"""Update of the CACHE: fetch what it lacks of an image, mend what is damaged, then adopt the manifest."""

from __future__ import annotations

import contextlib
import os
import random
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from client.cache import check_room, full_cache
from client.figures import Figures
from client.run import Run, in_thread
from client.session import Session
from client.sources.remote import RemoteSource
from client.targets import CacheTarget
from client.ticker import Ticker
from core.errors import CacheTransferError, ChunkError, OgcastError, RepositoryFullError, TransferError
from core.wantmap import WantMap
from images import codec
from images.manifest import Manifest
from images.repository import Repository
from transports.control import ImageInfo

__all__ = ["SCRUB_CHUNKS", "Update", "damaged_chunks"]

SCRUB_CHUNKS = 64
"""Chunks of a CACHE image that are hashed anew whenever it is used: under a second, and a disk that lost 5 % of them
is found out with 96 % probability. One that is damaged has all of the image checked."""


class Update:
    """One update of the CACHE `store` to `manifest`."""

    def __init__(
        self, run: Run, store: Repository, directory: Path, manifest: Manifest, info: ImageInfo, remote: RemoteSource
    ) -> None:
        self._run = run
        self._store = store
        self._directory = directory
        self._manifest = manifest
        self._info = info
        self._remote = remote
        self.figures = Figures()
        self.mended = 0
        """Damaged chunks found in the CACHE and fetched again."""
        self._brake: Mapping[str, float] = {}
        self._seconds = 0.0
        self.on_fetched: Callable[[], None] = lambda: None
        """Called when the CACHE lacks nothing, before all of it is on stable storage and the image can be seen."""
        self._ticker = Ticker(run, self.figures, total_bytes=0, chunks=manifest.chunk_count, remote=remote)

    async def perform(self) -> None:
        """Return when the CACHE holds the whole image. CacheFullError, CacheTransferError."""
        async with self._ticker.ending():
            try:
                await self._perform()
            except RepositoryFullError as error:
                raise full_cache(self._directory, error) from error
            except TransferError as error:
                raise CacheTransferError(str(error), hint=error.hint) from error
            finally:
                self._seconds = self._run.seconds

    async def _perform(self) -> None:
        manifest = self._manifest
        with self._store.writer(purpose=f"update-cache {manifest.ref}") as writer:  # holds off gc from here on
            want = await in_thread(lambda _: self._missing())
            self._ticker.expect(sum(manifest.raw_length(chunk) for chunk in want))
            self.figures.chunks_done = manifest.chunk_count - len(want)
            if len(want):
                self._run.resume_hint = "interrupted; the CACHE keeps what arrived: run the same command again to go on"
                target = CacheTarget(writer, manifest)
                try:
                    await self._fetch(want, target)
                except BaseException:
                    # what arrived stays good, whatever ended the transfer
                    with contextlib.suppress(OgcastError):
                        await in_thread(lambda _: writer.flush())
                    raise
            self.on_fetched()
            await in_thread(lambda _: writer.flush())
            await in_thread(lambda _: self._store.adopt(manifest.encode()))

    async def _fetch(self, want: WantMap, target: CacheTarget) -> None:
        session = Session(
            self._manifest,
            want=want,
            sources=[self._remote],
            target=target,
            figures=self.figures,
            on_event=self._run.event,
            on_verified=self._remote.verified,
        )
        async with self._ticker.running(session.brake):
            try:
                await session.run()
            finally:
                self._brake = session.brake.shares(time.monotonic())
        self._ticker.progress()

    def _missing(self) -> WantMap:
        """Chunks to fetch, each digest once; damaged ones are forgotten first. Checks the room. Blocks."""
        want, held, held_bytes = self._look_up()
        damaged = damaged_chunks(self._store, self._manifest, held, rng=random.Random())
        if damaged:
            self.mended = self._store.forget([self._manifest.digest(chunk) for chunk in damaged])
            want, held, held_bytes = self._look_up()
        check_room(
            self._directory,
            stored_bytes=self._info.stored_bytes,
            held_bytes=held_bytes,
            missing=len(want),
            image=str(self._manifest.ref),
        )
        return want

    def _look_up(self) -> tuple[WantMap, array[int], int]:
        """The distinct chunks the CACHE lacks, those it holds, and the stored bytes of these."""
        want = WantMap(self._manifest.chunk_count, full=False)
        held: array[int] = array("Q")
        held_bytes = 0
        for chunk, place in self._store.places(self._manifest):
            if place is None:
                want.add(chunk)
            else:
                held.append(chunk)
                held_bytes += place.stored_length
        return want, held, held_bytes

    def result(self, command: str, *, method: str) -> dict[str, Any]:
        """Fields of the event `done`."""
        figures = self.figures
        seconds = self._seconds
        return {
            "command": command,
            "image": str(self._manifest.ref),
            "target": str(self._directory),
            "method": method,
            "image_bytes": self._manifest.size,
            "data_bytes": self._manifest.data_bytes,
            "chunks": self._manifest.chunk_count,
            "chunks_fetched": sum(figures.chunks_by_source.values()),
            "chunks_mended": self.mended,
            "bytes_by_source": dict(figures.bytes_by_source),
            "chunks_by_source": dict(figures.chunks_by_source),
            "bytes_received": figures.bytes_received,
            "bytes_written": figures.bytes_written,
            "bad_chunks": figures.bad_chunks,
            "reconnects": figures.reconnects,
            "duplicates": figures.duplicates + self._remote.duplicate_chunks,
            "duplicate_bytes": figures.duplicate_bytes + self._remote.duplicate_bytes,
            "seconds": round(seconds, 3),
            "rate_bytes_per_s": round(figures.raw_bytes / seconds) if seconds > 0 else 0,
            "brake": max(self._brake, key=lambda stage: self._brake[stage]) if figures.raw_bytes else None,
            "brake_shares": dict(self._brake),
        }


def damaged_chunks(store: Repository, manifest: Manifest, held: Sequence[int], *, rng: random.Random) -> list[int]:
    """Which of `held` chunks are not what their digest says: a sample is hashed, all once one is damaged. Blocks."""
    sample = held if len(held) <= SCRUB_CHUNKS else rng.sample(held, SCRUB_CHUNKS)
    memory = memoryview(bytearray(manifest.chunk_size))
    if all(_is_whole(store, manifest, chunk, memory) for chunk in sample):
        return []
    return [chunk for chunk in held if not _is_whole(store, manifest, chunk, memory)]


def _is_whole(store: Repository, manifest: Manifest, chunk: int, memory: memoryview) -> bool:
    content = memory[: manifest.raw_length(chunk)]
    try:
        place = store.locate(manifest.digest(chunk))
        frame = os.pread(place.fd, place.length, place.offset)
        codec.decode_into(frame, place.encoding, content)
        codec.verify(content, manifest.digest(chunk))
    except (ChunkError, OSError):
        return False
    return True
