"""Opens whatever an operator names as a source, told by its content."""

from __future__ import annotations

from typing import BinaryIO

from core.errors import ImageFileError
from images.importers.compression import PieceReader, unwrapped
from images.importers.detect import PREFIX_BYTES, Compression, Content, compression_of, content_of, foreign_reason
from images.importers.device import DeviceSource
from images.importers.input import Input
from images.importers.partclone_stream import PartcloneStreamSource
from images.importers.qemu import QemuSource
from images.importers.raw import RawFileSource, RawStreamSource
from images.importers.source import FileSystemUse, ImageSource, ImportOptions, SourceFormat

__all__ = ["open_source"]


def open_source(source: str | BinaryIO, *, options: ImportOptions | None = None) -> ImageSource:
    """Open a block device, an image file, `-` (standard input) or an object with `read`.

    The result is a context manager and owns everything it opened. Raises NotFoundError, LockedError (mounted),
    FileSystemError (partclone refuses the device), ImageFileError (damaged, truncated, or plainly no image).
    """
    wanted = options or ImportOptions()
    opened = Input(source)
    try:
        if opened.is_block_device:
            return DeviceSource(opened, wanted)
        return _open_file_or_stream(opened, wanted)
    except BaseException:
        opened.close()
        raise


def _open_file_or_stream(source: Input, options: ImportOptions) -> ImageSource:
    prefix = source.peek(PREFIX_BYTES)
    if options.format is SourceFormat.RAW:
        return _raw_file(source, options) if source.is_regular else RawStreamSource(source, _plain(source))
    compression = compression_of(prefix)
    content = content_of(prefix)
    if compression is Compression.NONE and content not in (Content.RAW, Content.PARTCLONE):
        if not source.is_regular:
            raise ImageFileError(
                f"a {content.value} image cannot be read from a pipe", hint="give it as a file, not through `-`"
            )
        return QemuSource(source, content)
    if compression is Compression.NONE and content is Content.RAW:
        _refuse_foreign(source.name, prefix)
        return _raw_file(source, options) if source.is_regular else RawStreamSource(source, _plain(source))
    stream = unwrapped(source, compression)
    try:
        return _open_stream(source, stream)
    except BaseException:
        stream.close()
        raise


def _open_stream(source: Input, stream: PieceReader) -> ImageSource:
    prefix = stream.peek(PREFIX_BYTES)
    match content_of(prefix):
        case Content.PARTCLONE:
            return PartcloneStreamSource(source, stream)
        case Content.RAW:
            _refuse_foreign(f"what is compressed in {source.name}", prefix)
            return RawStreamSource(source, stream)
        case other:
            raise ImageFileError(
                f"a {other.value} image cannot be read inside a compressed stream", hint="uncompress it first"
            )


def _raw_file(source: Input, options: ImportOptions) -> ImageSource:
    return DeviceSource(source, options) if options.fs is FileSystemUse.ALWAYS else RawFileSource(source)


def _plain(source: Input) -> PieceReader:
    return unwrapped(source, Compression.NONE)


def _refuse_foreign(name: str, prefix: bytes) -> None:
    reason = foreign_reason(prefix)
    if reason is not None:
        raise ImageFileError(
            f"{name} is {reason}, not the image of a partition or disk", hint="if it is meant so, use --format raw"
        )
