"""What every source of an image looks like to the builder."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from core.errors import ImageFileError
from images.extents import Extent, Extents
from images.manifest import FileSystem

__all__ = ["NO_FILE_SYSTEM", "FileSystemUse", "ImageSource", "ImportOptions", "SourceFormat"]

NO_FILE_SYSTEM = FileSystem(type="", label="", uuid="")


class SourceFormat(enum.StrEnum):
    """What the operator says a source is."""

    AUTO = "auto"
    """Look at the content."""
    RAW = "raw"
    """Take every byte as it is, whatever it looks like."""


class FileSystemUse(enum.StrEnum):
    """Whether the file system's own map of used blocks is asked for."""

    AUTO = "auto"
    """For block devices, not for files."""
    ALWAYS = "always"
    """For raw files too."""
    NONE = "none"
    """Never: every byte of a device is DATA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to open a source."""

    format: SourceFormat = SourceFormat.AUTO
    fs: FileSystemUse = FileSystemUse.AUTO
    force: bool = False
    """Take a mounted device, and one whose file system asks to be checked first."""


class ImageSource(ABC):
    """One partition or disk to be read once. A context manager; `close` twice is harmless.

    `size` and `extents` are known before the first byte, except for a raw stream: there both are None, and
    `read_data` tells the end by giving less than asked for.
    """

    kind: str
    """For the manifest: raw, partclone, device, qcow2 …"""
    ordered: bool
    """`read_data` must be called for rising extents, one call at a time. Otherwise it may be called by many threads."""
    size: int | None
    """Bytes of the image."""
    extents: Extents | None
    fs: FileSystem = NO_FILE_SYSTEM
    block_size: int = 512
    """Allocation unit of the file system in bytes, 512 where there is none."""
    sector_size: int = 512
    """Logical sector in bytes."""
    notices: tuple[str, ...] = ()
    """What the operator should know about how the source is read."""

    @abstractmethod
    def read_data(self, extent: Extent, view: memoryview) -> int:
        """Fill `view`, as long as `extent`, with the bytes of that piece of a DATA extent; return how many.

        Less than len(view) only at the end of a source without a known size. Raises ImageFileError for a damaged or
        shrunk source and PartitionError for a device that fails. The view is not kept.
        """

    def read_pieces(self, pieces: Sequence[Extent], base: int, view: memoryview) -> None:
        """Fill the bytes of `pieces` in `view`, which begins at byte `base` of the image.

        The pieces are DATA, rising, of a source whose size is known, and lie in `view`; what is between them may be
        overwritten with anything. Raises as `read_data`, under whose rules the call falls too.
        """
        for piece in pieces:
            got = self.read_data(piece, view[piece.start - base : piece.stop - base])
            if got != piece.length:
                raise ImageFileError(f"the source ended at byte {piece.start + got}")

    def finish(self) -> None:  # noqa: B027 - most sources have nothing to add
        """Call after the last byte: raises if the source is not what it promised. The image counts only after this."""

    @abstractmethod
    def close(self) -> None:
        """Give files and child processes back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
