"""Garbage collection: give back the room of chunks that no manifest and no session needs.

It runs under the exclusive repository lock, so no writer is at work; readers may be, in any process. Steps, each of
which a crash may end: manifests of the trash that nobody holds go; index rows that no manifest needs go; packs without
rows go; packs less than half live are copied to a new one. A pack is deleted only after its rows are gone or moved.
A manifest that is damaged stops it, and chunks that the index lost are looked for in the packs first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from core.errors import ChunkError, ImageError, RepositoryError, RepositoryFullError
from core.ids import Digest
from images.store.catalogue import Catalogue, read_manifest
from images.store.disk import TEMPORARY_PREFIX, disk_errors
from images.store.index import ChunkIndex
from images.store.lock import LOCK_WAIT_S, exclusive_lock
from images.store.pack import PACK_HEADER_BYTES, RECORD_HEADER_BYTES, read_record
from images.store.pack_writer import PackWriter
from images.store.paths import RepositoryPaths
from images.store.salvage import salvage

__all__ = ["GcReport", "collect_garbage"]

_LIVE_SHARE_MIN = 0.5
"""A pack with less of its bytes live is rewritten: each byte copied then frees at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GcReport:
    """What gc did, or would do."""

    dry_run: bool
    manifests_removed: int
    """Trashed versions that no session holds."""
    chunks_removed: int
    chunks_kept: int
    chunks_found: int
    """Chunks that images need, that the index did not know, and that a pack holds: they have their rows again."""
    packs_removed: int
    packs_rewritten: int
    packs_left: int
    """Packs that ought to be rewritten but are damaged, or for which the disk has no room."""
    bytes_freed: int
    """Bytes of pack files given back; of a dry run, an estimate."""


class _Usage(NamedTuple):
    chunks: int
    live_bytes: int
    """Records that have a row, with their headers."""
    stop: int
    """End of the last record that has a row."""


_UNUSED = _Usage(0, 0, PACK_HEADER_BYTES)


def collect_garbage(
    paths: RepositoryPaths,
    catalogue: Catalogue,
    *,
    dry_run: bool = False,
    public_key: bytes | None = None,
    wait_s: float = LOCK_WAIT_S,
) -> GcReport:
    """Run gc. LockedError if writers do not end within `wait_s`; RepositoryError if a manifest cannot be read.

    With `public_key`, a manifest that it signed and that was changed since is one that cannot be read.
    """
    with exclusive_lock(paths.lock, wait_s=wait_s), disk_errors("collecting garbage"):
        if not dry_run:
            _sweep_temporaries(paths)
        discarded = _empty_trash(catalogue, dry_run=dry_run)
        live = _Live(catalogue, discarded, public_key)
        try:
            return _collect(paths, live, dry_run=dry_run)
        except RepositoryFullError:
            paths.reserve.unlink(missing_ok=True)
            return _collect(paths, live, dry_run=dry_run)
        finally:
            with contextlib.suppress(OSError):  # still full: the next gc tries again
                paths.set_room_aside()


def _collect(paths: RepositoryPaths, live: _Live, *, dry_run: bool) -> GcReport:
    with contextlib.closing(ChunkIndex.open(paths.index)) as index:
        removed, found, usage = _drop_dead_rows(paths, live, index, dry_run=dry_run)
        packs = _Packs(paths, index, usage, dry_run=dry_run)
        packs.collect()
        return GcReport(
            dry_run=dry_run,
            manifests_removed=len(live.discarded),
            chunks_removed=removed,
            chunks_kept=sum(use.chunks for use in usage.values()),
            chunks_found=found,
            packs_removed=packs.removed,
            packs_rewritten=packs.rewritten,
            packs_left=packs.left,
            bytes_freed=packs.freed,
        )


def _sweep_temporaries(paths: RepositoryPaths) -> None:
    for folder in paths.manifests.iterdir():
        if folder.is_dir():
            for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
                leftover.unlink()
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()


def _empty_trash(catalogue: Catalogue, *, dry_run: bool) -> set[Path]:
    """Delete the trashed manifests that no session holds; returns them."""
    discarded = set()
    for path in catalogue.trash():
        fd = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            if not dry_run:
                path.unlink()  # under the lock: a session that waits for it then sees that the file is gone
            discarded.add(path)
        finally:
            os.close(fd)
    return discarded


def _drop_dead_rows(
    paths: RepositoryPaths, live: _Live, index: ChunkIndex, *, dry_run: bool
) -> tuple[int, int, dict[int, _Usage]]:
    """Drop the rows no manifest needs, put back those the index lost (both undone again in a dry run).

    Returns the numbers of both, and what is left by pack.
    """
    with index.reading() if dry_run else index.writing() as connection:
        connection.execute("CREATE TEMP TABLE live (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        for digests in live.digests():
            connection.executemany("INSERT OR IGNORE INTO live VALUES (?)", ((digest,) for digest in digests))
        removed = connection.execute("DELETE FROM chunks WHERE digest NOT IN (SELECT digest FROM live)").rowcount
        try:
            found = salvage(paths, connection)
        except ChunkError as error:
            raise RepositoryError(
                f"gc stops, because a pack cannot be read while chunks are missing: {error}",
                hint="`repod verify` names the images that miss chunks",
            ) from error
        usage = _usage(connection)
        connection.execute("DROP TABLE live")
    return removed, found, usage


class _Live:
    """The manifests whose chunks must stay: all but the discarded ones."""

    def __init__(self, catalogue: Catalogue, discarded: set[Path], public_key: bytes | None) -> None:
        self._catalogue = catalogue
        self.discarded = discarded
        self._public_key = public_key

    def digests(self) -> Iterator[Sequence[Digest]]:
        """Those of one manifest after the other. The trash comes last: what is removed meanwhile is found there."""
        for entry in self._catalogue.images():
            with contextlib.suppress(FileNotFoundError):
                yield self._of(entry.path)
        for path in self._catalogue.trash():
            if path not in self.discarded:
                yield self._of(path)

    def _of(self, path: Path) -> Sequence[Digest]:
        fd = os.open(path, os.O_RDONLY)
        try:
            manifest = read_manifest(fd)
            if self._public_key is not None and manifest.is_signed_by(self._public_key):
                manifest.verify(self._public_key)
            return manifest.digests()
        except ImageError as error:
            raise RepositoryError(
                f"gc stops, because the manifest {path.name} of {path.parent.name} is damaged: {error}",
                hint="nobody can tell which chunks it needs: restore that file, or remove the image",
            ) from error
        finally:
            os.close(fd)


def _usage(connection: sqlite3.Connection) -> dict[int, _Usage]:
    rows = connection.execute(
        "SELECT pack, count(*), sum(stored_length + ?), max(offset + stored_length) FROM chunks GROUP BY pack",
        (RECORD_HEADER_BYTES,),
    )
    return {row[0]: _Usage(row[1], row[2], row[3]) for row in rows}


class _Packs:
    """The part of a run that deals with pack files."""

    def __init__(self, paths: RepositoryPaths, index: ChunkIndex, usage: dict[int, _Usage], *, dry_run: bool) -> None:
        self._paths = paths
        self._index = index
        self._usage = usage
        self._dry_run = dry_run
        self.removed = self.rewritten = self.left = self.freed = 0

    def collect(self) -> None:
        """Dead packs and torn tails first: what follows may need their room."""
        numbers = self._paths.pack_numbers()
        sparse = []
        for number in numbers:
            size = self._paths.pack(number).stat().st_size
            use = self._usage.get(number, _UNUSED)
            if not use.chunks and number != numbers[-1]:
                self._remove(number, size)
                continue
            # The pack with the highest number stays, if only as its header: a number used twice would make
            # descriptors that readers hold point at another pack than the index means.
            if use.stop < size:
                self.freed += size - use.stop
                if not self._dry_run:
                    os.truncate(self._paths.pack(number), use.stop)
            if use.chunks and use.live_bytes < _LIVE_SHARE_MIN * (use.stop - PACK_HEADER_BYTES):
                sparse.append((number, use))
        if sparse:
            self._rewrite(sparse)

    def _remove(self, number: int, size: int) -> None:
        self.removed += 1
        self.freed += size
        if not self._dry_run:
            self._paths.pack(number).unlink()

    def _rewrite(self, sparse: list[tuple[int, _Usage]]) -> None:
        if self._dry_run:
            self.rewritten = len(sparse)
            self.freed += sum(use.stop - use.live_bytes for _, use in sparse)
            return
        target: PackWriter | None = None
        try:
            for done, (number, use) in enumerate(sparse):
                try:
                    if target is None or not target.has_room(use.live_bytes):
                        if target is not None:
                            target.close()
                        target = PackWriter(self._paths)
                    self._copy(number, target)
                except ChunkError:
                    self.left += 1  # verify names the damage; the pack stays as it is
                    continue
                except RepositoryFullError:
                    self.left += len(sparse) - done
                    return
                self.rewritten += 1
                self.freed += use.stop - use.live_bytes
                self._paths.pack(number).unlink()
        finally:
            if target is not None:
                target.close()

    def _copy(self, number: int, target: PackWriter) -> None:
        moves: list[tuple[int, int, Digest]] = []
        source = os.open(self._paths.pack(number), os.O_RDONLY)
        try:
            after = (number, 0)
            while rows := [row for row in self._index.by_place(after, 1024) if row[1].pack == number]:
                for digest, place in rows:
                    header, stored = read_record(source, place.offset - RECORD_HEADER_BYTES)
                    if header.digest != digest or header.stored_length != place.stored_length:
                        raise ChunkError(f"pack {number} does not hold what the index says")
                    moves.append((target.number, target.append(header, stored), digest))
                after = (number, rows[-1][1].offset)
            target.sync()
            self._index.move(moves)
            target.keep()
        finally:
            target.take_back()
            os.close(source)
