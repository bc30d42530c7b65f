"""Unwraps compressed streams in bounded memory.

Several members one after the other are one stream, as their tools have it. A stream that ends early, or goes on with
something else, is an ImageFileError. lzop is read by its own program, whose exit status counts.
"""

from __future__ import annotations

import bz2
import lzma
import subprocess
import tempfile
import threading
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Protocol

import zstandard

from core.errors import ImageFileError, UsageError
from images.importers.detect import Compression
from images.importers.input import Input
from images.importers.programs import find_program

__all__ = ["PieceReader", "unwrapped"]

_Pieces = Generator[bytes, None, None]

_INPUT_BYTES = 64 * 1024
_OUTPUT_BYTES = 1024 * 1024
_ZSTD_INPUT_BYTES = 1024
"""zstd gives out all a piece of input makes; the worst one makes 128 KiB of every 4 bytes, twice for a moment."""
_ZSTD_INPUT_SMALL_BYTES = 256
_ZSTD_WINDOW_MAX = 128 * 1024 * 1024
_XZ_MEMORY_MAX = 256 * 1024 * 1024
_FEEDER_PATIENCE_S = 1.0
"""Wait at an early end for a feeder that may sit in a read of a silent pipe; it is a daemon thread."""
_HINT = "the image file is damaged or was not copied to its end: fetch it again"
_HUNGRY = ("requires too much memory", "Memory usage limit exceeded")
"""What the libraries of zstd and xz say of a whole stream that would need more than they are granted."""
_BY_PIPE = {"zstd": "zstd -dc --long=31", "xz": "xz -dc"}


class PieceReader:
    """Bytes out of an iterator of pieces, by exact lengths. `close` ends the iterator."""

    def __init__(self, pieces: Iterator[bytes], close: Callable[[], None] | None = None) -> None:
        self._pieces = pieces
        self._close = close
        self._piece = memoryview(b"")

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end, without taking them."""
        data = self.read(size)
        self._piece = memoryview(data + bytes(self._piece))
        return data

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end."""
        found = bytearray(size)
        return bytes(found[: self.readinto(memoryview(found))])

    def readinto(self, view: memoryview) -> int:
        """Fill `view`; less only at the end."""
        done = 0
        while done < len(view):
            if not self._piece:
                self._piece = memoryview(next(self._pieces, b""))
                if not self._piece:
                    break
            step = min(len(self._piece), len(view) - done)
            view[done : done + step] = self._piece[:step]
            self._piece = self._piece[step:]
            done += step
        return done

    def close(self) -> None:
        """End the iterator; harmless when repeated."""
        if self._close is not None:
            self._close()


class _Member(Protocol):
    """A decompressor of bz2 or lzma."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def unwrapped(source: Input, compression: Compression) -> PieceReader:
    """The uncompressed bytes of `source`, which stays its owner's to close after the reader."""
    pieces: _Pieces
    match compression:
        case Compression.GZIP:
            pieces = _inflated(source)
        case Compression.ZSTD:
            pieces = _zstd(source)
        case Compression.BZIP2:
            pieces = _members(source, "bzip2", bz2.BZ2Decompressor, padding=False)
        case Compression.XZ:
            pieces = _members(source, "xz", _xz_member, padding=True)
        case Compression.LZOP:
            pieces = _lzop(source)
        case Compression.NONE:
            pieces = _plain(source)
    return PieceReader(pieces, pieces.close)


def _plain(source: Input) -> _Pieces:  # a generator, so that all have `close`
    while piece := source.read_some(_OUTPUT_BYTES):
        yield piece


def _xz_member() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_MAX)


def _inflated(source: Input) -> _Pieces:
    data = source.read_some(_INPUT_BYTES)
    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            if not data and not (data := source.read_some(_INPUT_BYTES)):
                raise ImageFileError("truncated gzip stream", hint=_HINT)
            try:
                piece = member.decompress(data, _OUTPUT_BYTES)
            except zlib.error as error:
                raise ImageFileError(f"damaged gzip stream: {error}", hint=_HINT) from None
            data = member.unconsumed_tail
            if piece:
                yield piece
        data = _next_member(source, member.unused_data, padding=True)


def _members(source: Input, name: str, new_member: Callable[[], _Member], *, padding: bool) -> _Pieces:
    data = source.read_some(_INPUT_BYTES)
    while data:
        member = new_member()
        while not member.eof:
            try:
                piece = member.decompress(data, _OUTPUT_BYTES)
            except (OSError, ValueError, lzma.LZMAError) as error:
                raise _refused(name, error) from None
            data = b""
            if piece:
                yield piece
            elif not member.eof and not (data := source.read_some(_INPUT_BYTES)):
                raise ImageFileError(f"truncated {name} stream", hint=_HINT)
        data = _next_member(source, member.unused_data, padding=padding)


def _zstd(source: Input) -> _Pieces:
    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_MAX)
    step = _ZSTD_INPUT_BYTES
    block = data = source.read_some(_INPUT_BYTES)
    while data:
        member = context.decompressobj()
        while not member.eof:
            if not data and not (data := source.read_some(_INPUT_BYTES)):
                raise ImageFileError("truncated zstd stream", hint=_HINT)
            block, data = data[:step], data[step:]
            try:
                piece = member.decompress(block)
            except zstandard.ZstdError as error:
                raise _refused("zstd", error) from None
            step = _ZSTD_INPUT_SMALL_BYTES if len(piece) > _OUTPUT_BYTES else _ZSTD_INPUT_BYTES
            if piece:
                yield piece
        data = member.unused_data + data or source.read_some(_INPUT_BYTES)


def _refused(name: str, error: Exception) -> ImageFileError:
    """What is wrong with a stream: fetching it again mends damage, and not that it needs much memory."""
    if name not in _BY_PIPE or not any(words in str(error) for words in _HUNGRY):
        return ImageFileError(f"damaged {name} stream: {error}", hint=_HINT)
    return ImageFileError(
        f"the {name} stream needs more memory than ogcast takes for one",
        hint=f"give it decompressed: {_BY_PIPE[name]} FILE | repod import DIR - --name NAME",
    )


def _next_member(source: Input, left: bytes, *, padding: bool) -> bytes:
    """The beginning of the next member, b"" at the end; zeros before it are dropped where the format allows them."""
    data = left or source.read_some(_INPUT_BYTES)
    while padding and data:
        data = data.lstrip(b"\0")
        if data:
            break
        data = source.read_some(_INPUT_BYTES)
    return data


def _lzop(source: Input) -> _Pieces:
    program = find_program("lzop")
    if program is None:
        raise UsageError("the image is compressed by lzop, and the program lzop is missing", hint="install lzop")
    with tempfile.TemporaryFile() as said:
        command = [program, "-dc", "-q"]
        if source.is_regular:
            child = subprocess.Popen(command, stdin=source.rewound(), stdout=subprocess.PIPE, stderr=said)
            feeder = None
        else:
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
            feeder = _Feeder(source, child)
        try:
            assert child.stdout is not None
            while piece := child.stdout.read(_OUTPUT_BYTES):
                yield piece
            status = child.wait()
            if feeder is not None:
                feeder.join()
        finally:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
            if feeder is not None:
                feeder.join(_FEEDER_PATIENCE_S)
        if feeder is not None and feeder.error is not None:
            raise feeder.error
        if status != 0:
            said.seek(0)
            words = said.read(4096).decode("utf-8", "replace").strip().splitlines()
            # at an early end lzop says what errno happens to hold, "Inappropriate ioctl for device"
            told = next((f": {line}" for line in words if "<stdin>" in line and "ioctl" not in line), "")
            raise ImageFileError(f"damaged or truncated lzop stream{told}", hint=_HINT)


class _Feeder(threading.Thread):
    """Carries a source into lzop's standard input; ends with the source or with lzop."""

    def __init__(self, source: Input, child: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._child = child
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        assert self._child.stdin is not None
        try:
            with self._child.stdin as pipe:
                while piece := self._source.read_some(_INPUT_BYTES):
                    pipe.write(piece)
        except BrokenPipeError:
            pass  # lzop gave up; its exit status says why
        except Exception as error:  # given to the reading thread
            self.error = error
