"""Export as one `.zst` file: a frame per slot, then the seek table of the zstd seekable format.

`zstd -dc` restores it without ogcast; readers of the seekable format find any byte without reading the rest.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator

from images.exporters.feed import ExportedSlot, ProgressCall, slots_of
from images.exporters.filler_frames import raw_frame, zero_frame
from images.exporters.output import open_output
from images.manifest import Manifest
from images.stores import ChunkReader, Encoding

__all__ = ["SEEKABLE_MAGIC", "export_zst", "seek_table", "zst_parts"]

SEEKABLE_MAGIC = 0x8F92EAB1
_SKIPPABLE_MAGIC = 0x184D2A5E
_FOOTER = struct.Struct("<IBI")


def export_zst(
    manifest: Manifest,
    chunks: ChunkReader,
    target: str,
    *,
    workers: int | None = None,
    progress: ProgressCall | None = None,
) -> None:
    """Write the image to a file or `-`. Stored frames are copied, not compressed again, after they were verified.

    Raises ChunkError for a damaged chunk; a file then does not appear.
    """
    with open_output(target) as output, slots_of(manifest, chunks, workers=workers, progress=progress) as slots:
        for part in zst_parts(slots):
            output.write(part)


def zst_parts(slots: Iterable[ExportedSlot]) -> Iterator[bytes]:
    """The bytes of the file in order."""
    table = array("I")  # compressed and decompressed length of each frame: at most 32 MiB
    zeros: dict[int, bytes] = {}  # the frame of a slot of zeros by its length; there are at most two lengths
    for slot in slots:
        if slot.content is None:
            frame = zeros.get(slot.length) or zeros.setdefault(slot.length, zero_frame(slot.length))
        else:
            frame = slot.stored if slot.encoding is Encoding.ZSTD else raw_frame(slot.content)
        yield frame
        table.append(len(frame))
        table.append(slot.length)
    yield seek_table(table)


def seek_table(lengths: array[int]) -> bytes:
    """The seek table; `lengths` has the compressed and the decompressed length of each frame, one after the other."""
    entries = struct.pack(f"<{len(lengths)}I", *lengths)
    footer = _FOOTER.pack(len(lengths) // 2, 0, SEEKABLE_MAGIC)
    return struct.pack("<II", _SKIPPABLE_MAGIC, len(entries) + len(footer)) + entries + footer
