"""Existing OpenGnsys images: a partclone stream, whatever it is wrapped in."""

from __future__ import annotations

from core.errors import ImageFileError
from images.extents import Extent, Extents
from images.importers.compression import PieceReader
from images.importers.fs_detect import fs_type_of
from images.importers.input import Input
from images.importers.source import ImageSource
from images.manifest import FileSystem
from images.partclone.reader import PartcloneReader

__all__ = ["PartcloneStreamSource"]


class PartcloneStreamSource(ImageSource):
    """A partclone image, versions 1 and 2; its checksums are verified as it passes."""

    kind = "partclone"
    ordered = True

    def __init__(self, source: Input, stream: PieceReader) -> None:
        self._source = source
        self._stream = stream
        self._reader = PartcloneReader(stream)
        header = self._reader.header
        self.extents: Extents = self._reader.extents
        self.size: int = self.extents.size
        self.block_size = header.block_size
        self.fs = FileSystem(type=fs_type_of(header.fs), label="", uuid="")
        if header.image_version == 1:
            self.notices = ("a version 1 partclone image: its checksums prove nothing, so none were verified",)
        elif not header.checksum_size:
            self.notices = ("the partclone image was made without checksums, so none were verified",)
        if header.fs.upper() == "FAT12":
            self.notices += ("partclone reads the map of a FAT12 wrongly: files may be missing in its image",)

    def read_data(self, extent: Extent, view: memoryview) -> int:
        self._reader.read_data(extent, view)
        return len(view)

    def finish(self) -> None:
        """The image ends where it must, and so does the compressed stream around it (lzop's exit status included)."""
        self._reader.finish()
        if self._stream.read(1):
            raise ImageFileError("bytes after the end of the partclone image")

    def close(self) -> None:
        self._reader.close()
        self._stream.close()
        self._source.close()
