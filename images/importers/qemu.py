"""qcow2, vmdk and vhdx images, read through qemu-nbd: no temporary copy, bounded memory, several reads at once."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from typing import IO

import msgspec

from core.errors import ImageFileError, OgcastError, UsageError
from images.extents import Extent, Extents, ExtentsBuilder, Kind
from images.importers.detect import Content
from images.importers.input import Input
from images.importers.nbd import CONNECTIONS_MAX, NbdExport
from images.importers.programs import find_program
from images.importers.qemu_header import HEADER_BYTES, check_self_contained
from images.importers.source import ImageSource

__all__ = ["QemuSource"]

_START_S_MAX = 20.0
_START_STEP_S = 0.01
_READ_S_MAX = 300.0
_MAP_LINE_BYTES_MAX = 4096
_SAID_BYTES_MAX = 4096
_VHDX_ALIGN = 4096
"""Every part of a vhdx is aligned to it; `qemu-img check` misses one byte, and its map of a vhdx has no offsets."""
_COPY_AGAIN = "the image was not copied to its end: copy it again"
_CHECK_PASSED = {0, 3, 63}
"""No error; clusters that nothing uses (harmless); a format that has no check."""


class _MapEntry(msgspec.Struct):
    """One line of `qemu-img map --output=json`."""

    start: int
    length: int
    zero: bool
    compressed: bool = False
    offset: int | None = None
    """Where the file has these bytes, if it has them as they are."""


class QemuSource(ImageSource):
    """A virtual disk. What its own tables call zero is ZERO, all else DATA."""

    ordered = False

    def __init__(self, source: Input, content: Content) -> None:
        self._source = source
        self.kind = content.value
        # Of a number that no child uses for its own standard streams: the image may be our standard input.
        self._fd = fd = fcntl.fcntl(source.rewound(), fcntl.F_DUPFD_CLOEXEC, 3)
        try:
            self._open(content, fd)
        except BaseException:
            os.close(fd)
            raise

    def _open(self, content: Content, fd: int) -> None:
        check_self_contained(content, os.pread(fd, HEADER_BYTES, 0))
        # The descriptor that was checked is what qemu opens, and no name in it is a path or URL of somebody's choice.
        image = "json:" + json.dumps(
            {"driver": content.value, "backing": None, "file": {"driver": "file", "filename": f"/dev/fd/{fd}"}}
        )
        _check(image, fd)
        if content is Content.VHDX and os.fstat(fd).st_size % _VHDX_ALIGN:
            raise ImageFileError("truncated image: a whole vhdx ends on a multiple of 4096 bytes", hint=_COPY_AGAIN)
        self._server = _Server(image, fd)
        try:
            self.size: int = self._server.export.size
            self.extents: Extents = _mapped(image, fd, self.size)
        except BaseException:
            self._server.close()
            raise

    def read_data(self, extent: Extent, view: memoryview) -> int:
        self._server.export.read(extent.start, view)
        return len(view)

    def close(self) -> None:
        self._server.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._source.close()


class _Server:
    """A qemu-nbd of our own on a socket in a private folder. It ends with its last connection, so also with us."""

    def __init__(self, image: str, fd: int) -> None:
        self._folder = tempfile.mkdtemp(prefix="ogcast-nbd-")
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - close()
        path = os.path.join(self._folder, "socket")
        try:
            self._child = subprocess.Popen(
                [_program("qemu-nbd"), "--read-only", f"--shared={CONNECTIONS_MAX}", f"--socket={path}", image],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                pass_fds=(fd,),
            )
        except BaseException:
            self._clear()
            raise
        try:
            self.export = self._connected(path)
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        if self._child.returncode is None:
            self.export.close()
            self._stop()

    def _connected(self, path: str) -> NbdExport:
        """qemu-nbd has no way to say that it listens but by listening."""
        deadline = time.monotonic() + _START_S_MAX
        while True:
            try:
                return NbdExport(path, timeout_s=_READ_S_MAX)
            except OSError:
                if self._child.poll() is not None:
                    raise _complaint("qemu-nbd", self._said) from None
                if time.monotonic() > deadline:
                    raise ImageFileError("qemu-nbd does not begin to serve the image") from None
            time.sleep(_START_STEP_S)

    def _stop(self) -> None:
        self._child.terminate()
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._clear()

    def _clear(self) -> None:
        self._said.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _check(image: str, fd: int) -> None:
    """Let qemu-img compare the image's tables with the file: what a truncated file lacks would read as zero."""
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            [_program("qemu-img"), "check", "-q", image],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=(fd,),
            check=False,
        )
        if done.returncode not in _CHECK_PASSED:
            raise _complaint("qemu-img check", said)


def _mapped(image: str, fd: int, size: int) -> Extents:
    """The extents by qemu-img's map, read line by line: the map of a fragmented disk is long."""
    builder = ExtentsBuilder()
    file_size = os.fstat(fd).st_size
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [_program("qemu-img"), "map", "--output=json", image],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            pass_fds=(fd,),
        )
        with child:
            assert child.stdout is not None
            try:
                while line := child.stdout.readline(_MAP_LINE_BYTES_MAX):
                    _add_entry(builder, line.strip().lstrip(b"[").rstrip(b",]"), size, file_size)
            except BaseException:
                child.kill()
                raise
        if child.returncode != 0:
            raise _complaint("qemu-img", said)
    builder.add(size - builder.size, Kind.DATA)
    return builder.finish()


def _add_entry(builder: ExtentsBuilder, line: bytes, size: int, file_size: int) -> None:
    if not line:
        return
    try:
        entry = msgspec.json.decode(line, type=_MapEntry)
    except msgspec.DecodeError:
        raise ImageFileError(f"qemu-img wrote a map with a line that is none: {line[:60]!a}") from None
    if entry.start != builder.size or not 0 <= entry.length <= size - entry.start:
        raise ImageFileError(f"qemu-img's map has a run of {entry.length} bytes at {entry.start}")
    at = entry.offset
    # `qemu-img check` lets pass what ends inside the last cluster, and reading gives zeros for what is not there
    if at is not None and not entry.zero and not entry.compressed and at + entry.length > file_size:
        raise ImageFileError(
            f"truncated image: byte {entry.start} ff. end at {at + entry.length} of a file of {file_size} bytes",
            hint=_COPY_AGAIN,
        )
    builder.add(entry.length, Kind.ZERO if entry.zero else Kind.DATA)


def _program(name: str) -> str:
    path = find_program(name)
    if path is None:
        raise UsageError(f"the program {name} is missing", hint="install qemu-utils to import virtual disks")
    return path


def _complaint(program: str, said: IO[bytes]) -> OgcastError:
    said.seek(0)
    words = said.read(_SAID_BYTES_MAX).decode("utf-8", "replace").strip().splitlines()
    if len(words) > 1 and said.read(1):
        words.pop()  # cut off in the middle
    return ImageFileError(
        f"{program} refused the image: {words[-1] if words else 'it said nothing'}",
        hint="it is damaged or was not copied to its end: copy it again",
    )
