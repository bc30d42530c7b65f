"""The one pass over an image that a torrent of it needs: every chunk is verified, every piece is hashed."""

from __future__ import annotations

from collections.abc import Iterator

from core.errors import ChunkError, UsageError
from images.exporters.feed import ExportedSlot, ProgressCall, slots_of
from images.exporters.ranged import FileForm, SlotCache, open_ranged
from images.exporters.raw import raw_parts
from images.exporters.seekable_zst import zst_parts
from images.manifest import Manifest
from images.stores import ChunkReader
from images.torrent.pieces import PieceHashes, hash_parts, piece_length_for

__all__ = ["hash_image"]


def hash_image(
    manifest: Manifest,
    chunks: ChunkReader,
    form: FileForm,
    *,
    workers: int | None = None,
    progress: ProgressCall | None = None,
) -> PieceHashes:
    """The hashes of the file that an export in `form` gives; its bytes are the same whenever it is exported again.

    Raises ChunkError for a damaged chunk, UsageError for an image without a byte.
    """
    size = open_ranged(form, manifest, chunks, SlotCache(0)).size
    if not size:
        raise UsageError(f"{manifest.ref} has no bytes, and a torrent needs some")
    with slots_of(manifest, chunks, workers=workers, progress=progress) as slots:
        hashes = hash_parts(_parts(form, manifest, slots), piece_length_for(size), workers=workers)
    if hashes.length != size:
        raise ChunkError(f"chunks of {manifest.ref} were stored anew meanwhile", hint="export it again")
    return hashes


def _parts(form: FileForm, manifest: Manifest, slots: Iterator[ExportedSlot]) -> Iterator[bytes | memoryview | int]:
    return raw_parts(slots, manifest.extents) if form is FileForm.RAW else zst_parts(slots)
