"""Export as a raw partition or disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from images.exporters.feed import ExportedSlot, ProgressCall, slots_of
from images.exporters.output import Output, open_output
from images.extents import Extents, Kind
from images.manifest import Manifest
from images.stores import ChunkReader

__all__ = ["export_raw", "raw_parts"]


def export_raw(
    manifest: Manifest,
    chunks: ChunkReader,
    target: str,
    *,
    workers: int | None = None,
    progress: ProgressCall | None = None,
) -> None:
    """Write the image to a file (ZERO and SKIP become holes), a block device (SKIP is left alone) or `-`.

    Raises ChunkError for a damaged chunk; a file then does not appear.
    """
    with (
        open_output(target, size=manifest.size) as output,
        slots_of(manifest, chunks, workers=workers, progress=progress) as slots,
    ):
        for slot in slots:
            _write(output, slot, manifest.extents)


def raw_parts(slots: Iterable[ExportedSlot], extents: Extents) -> Iterator[memoryview | int]:
    """The bytes of the file in order; a number stands for that many zeros."""
    for slot in slots:
        if slot.content is None:
            yield slot.length
            continue
        for extent in extents.within(slot.start, slot.start + slot.length):
            at = extent.start - slot.start
            yield slot.content[at : at + extent.length] if extent.kind is Kind.DATA else extent.length


def _write(output: Output, slot: ExportedSlot, extents: Extents) -> None:
    if output.is_stream and slot.content is not None:
        output.write(slot.content)
        return
    for extent in extents.within(slot.start, slot.start + slot.length):
        if extent.kind is Kind.DATA and slot.content is not None:
            at = extent.start - slot.start
            output.write(slot.content[at : at + extent.length])
        elif extent.kind is Kind.ZERO and output.is_device:
            output.write(bytes(extent.length))
        else:
            output.skip(extent.length)
