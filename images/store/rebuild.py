"""Rebuilding the index from the packs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import ChunkError, ImageError
from core.ids import Digest, ImageRef
from images.store.catalogue import Catalogue, read_manifest
from images.store.disk import disk_errors
from images.store.index import ChunkIndex, DamagedIndexError, Place
from images.store.lock import LOCK_WAIT_S, exclusive_lock
from images.store.pack import DamagedRecord, Record, scan_pack
from images.store.paths import RepositoryPaths

__all__ = ["DamagedStretch", "IncompleteImage", "RebuildReport", "rebuild_index"]

_STRETCHES_MAX = 10_000
"""Damaged stretches that are listed; the images that miss chunks are listed anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedStretch:
    """Bytes of a pack that are no whole record."""

    pack: int
    offset: int
    length: int
    """Bytes."""
    reason: str
    torn: bool
    """True at the end of a pack: what a crash leaves, not damage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncompleteImage:
    """An image that the packs do not hold whole."""

    ref: ImageRef
    missing: int
    """Chunks that no pack holds; 0 if its manifest itself is damaged."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildReport:
    """Result of a rebuild."""

    packs: int
    records: int
    """Whole records found, duplicates too."""
    chunks: int
    """Rows of the new index."""
    damaged: tuple[DamagedStretch, ...]
    incomplete: tuple[IncompleteImage, ...]


def rebuild_index(paths: RepositoryPaths, catalogue: Catalogue, *, wait_s: float = LOCK_WAIT_S) -> RebuildReport:
    """Read all packs and put their whole records into the index in one transaction; then look what images miss.

    A damaged index is deleted first. LockedError if writers do not end within `wait_s`.
    """
    with exclusive_lock(paths.lock, wait_s=wait_s), disk_errors("rebuilding the index"):
        scan = _Scan(paths)
        index = _usable_index(paths)
        try:
            try:
                index.replace_all(scan.rows())
            except DamagedIndexError:
                index.close()
                ChunkIndex.remove(paths.index)
                index = ChunkIndex.open(paths.index, create=True)
                scan = _Scan(paths)
                index.replace_all(scan.rows())
            return RebuildReport(
                packs=scan.packs,
                records=scan.records,
                chunks=index.count(),
                damaged=tuple(scan.damaged),
                incomplete=tuple(_incomplete(catalogue, index)),
            )
        finally:
            index.close()


class _Scan:
    """One walk over all packs, with what it saw."""

    def __init__(self, paths: RepositoryPaths) -> None:
        self._paths = paths
        self.packs = self.records = 0
        self.damaged: list[DamagedStretch] = []

    def rows(self) -> Iterator[tuple[Digest, Place]]:
        """A row for each whole record."""
        for number in self._paths.pack_numbers():
            self.packs += 1
            fd = os.open(self._paths.pack(number), os.O_RDONLY)
            try:
                for found in scan_pack(fd):
                    if isinstance(found, Record):
                        self.records += 1
                        yield _row(number, found)
                    else:
                        self._note(number, found)
            except ChunkError as error:
                size = os.fstat(fd).st_size
                self._note(number, DamagedRecord(offset=0, length=size, reason=error.message, torn=False))
            finally:
                os.close(fd)

    def _note(self, number: int, found: DamagedRecord) -> None:
        if len(self.damaged) < _STRETCHES_MAX:
            self.damaged.append(
                DamagedStretch(
                    pack=number, offset=found.offset, length=found.length, reason=found.reason, torn=found.torn
                )
            )


def _row(number: int, record: Record) -> tuple[Digest, Place]:
    header = record.header
    return header.digest, Place(number, record.offset, header.stored_length, header.raw_length, header.encoding)


def _usable_index(paths: RepositoryPaths) -> ChunkIndex:
    try:
        return ChunkIndex.open(paths.index, create=True)
    except DamagedIndexError:
        ChunkIndex.remove(paths.index)
        return ChunkIndex.open(paths.index, create=True)


def _incomplete(catalogue: Catalogue, index: ChunkIndex) -> Iterator[IncompleteImage]:
    for entry in catalogue.images():
        with contextlib.closing(entry.path.open("rb")) as file:
            try:
                manifest = read_manifest(file.fileno(), entry.ref)
            except ImageError as error:
                yield IncompleteImage(ref=entry.ref, missing=0, reason=f"manifest: {error}")
                continue
        missing = sum(
            not held
            for chunks in manifest.distinct()
            for held in index.contains([manifest.digest(chunk) for chunk in chunks])
        )
        if missing:
            yield IncompleteImage(ref=entry.ref, missing=missing, reason=f"{missing} chunks are in no pack")
