"""Export as one `.zst` file: a frame per slot, then the seek table of the zstd seekable format.

`zstd -dc` restores it without ogcast; readers of the seekable format find any byte without reading the rest.
"""

from __future__ import annotations

import struct
from array import array

import zstandard

from images.exporters.feed import ExportedSlot, ProgressCall, slots_of
from images.exporters.output import open_output
from images.manifest import Manifest
from images.stores import ChunkReader, Encoding

__all__ = ["SEEKABLE_MAGIC", "export_zst"]

SEEKABLE_MAGIC = 0x8F92EAB1
_SKIPPABLE_MAGIC = 0x184D2A5E
_FOOTER = struct.Struct("<IBI")
_FILLER_LEVEL = 1


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
    frames = _Frames()
    table = array("I")  # compressed and decompressed length of each frame: at most 32 MiB
    with open_output(target) as output, slots_of(manifest, chunks, workers=workers, progress=progress) as slots:
        for slot in slots:
            frame = frames.of(slot)
            output.write(frame)
            table.append(len(frame))
            table.append(slot.length)
        output.write(_seek_table(table))


class _Frames:
    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_FILLER_LEVEL)
        self._zeros: dict[int, bytes] = {}
        """The frame of a slot of zeros by its length; there are at most two lengths."""

    def of(self, slot: ExportedSlot) -> bytes:
        if slot.content is None:
            if slot.length not in self._zeros:
                self._zeros[slot.length] = self._compressor.compress(bytes(slot.length))
            return self._zeros[slot.length]
        return slot.stored if slot.encoding is Encoding.ZSTD else self._compressor.compress(slot.content)


def _seek_table(table: array[int]) -> bytes:
    entries = struct.pack(f"<{len(table)}I", *table)
    footer = _FOOTER.pack(len(table) // 2, 0, SEEKABLE_MAGIC)
    return struct.pack("<II", _SKIPPABLE_MAGIC, len(entries) + len(footer)) + entries + footer
