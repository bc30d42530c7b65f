"""A block device (or, when asked, a raw file) read through its file system's own map of used blocks.

`partclone.<fs> -D` writes only that map, at almost no cost; the used ranges are then read here with large reads in
parallel. `partclone.<fs> -c` would pipe every byte through one thread that computes a CRC.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO

from core.errors import FileSystemError, LockedError
from images.extents import Extent, Extents, ExtentsBuilder, Kind
from images.importers.direct import READ_THROUGH_BYTES, DirectReader, joined
from images.importers.domain_map import DomainMap
from images.importers.exclusive import ExclusiveHold
from images.importers.fat_kind import is_fat12
from images.importers.fs_detect import detect_file_system, partclone_program
from images.importers.input import Input
from images.importers.mounts import mounted_for_writing
from images.importers.ntfs_state import is_ntfs_dirty
from images.importers.positioned import read_exactly
from images.importers.source import FileSystemUse, ImageSource, ImportOptions

__all__ = ["DeviceSource"]

_BLKGETSIZE64 = 0x80081272
_BLKSSZGET = 0x1268
_PIPE_BYTES = 64 * 1024
_SAID_BYTES_MAX = 64 * 1024
_EXIT_S_MAX = 60.0
"""After the map is complete partclone has nothing left to do; longer than this it hangs."""
_FORCE_HINT = (
    "check the file system first (fsck, or chkdsk in Windows and a full shutdown), or take it as it is with --force"
)

_MOUNTED_HINT = "unmount it: partclone reads no mounted device, not even one mounted read-only"


class DeviceSource(ImageSource):
    """DATA is what the file system uses, SKIP what its map calls free.

    Bytes after the last block of the map are DATA (an NTFS backup boot sector lies there), and so is everything when
    the file system is unknown or its partclone program is not installed (see `notices`).
    """

    kind = "device"
    ordered = False

    def __init__(self, source: Input, options: ImportOptions) -> None:
        self._source = source
        self._is_device = source.is_block_device
        self._map: _MapProgram | None = None
        self._direct: DirectReader | None = None
        self._hold: ExclusiveHold | None = None
        assert source.fd is not None
        self._fd = source.fd
        self.kind = "device" if self._is_device else "raw"
        if self._is_device:
            self._refuse_writers(options)
            self.size: int = _ioctl_u64(self._fd, _BLKGETSIZE64)
            self.sector_size = _ioctl_u32(self._fd, _BLKSSZGET)
        else:
            self.size = os.fstat(self._fd).st_size
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        if self._is_device:
            self._direct = DirectReader(self._fd, self.sector_size)
        self.extents: Extents = Extents.all_data(self.size)
        if options.fs is not FileSystemUse.NONE and self.size:
            self._ask_the_file_system(options)
        if self._is_device:
            self._keep_writers_off(options)

    def read_data(self, extent: Extent, view: memoryview) -> int:
        return read_exactly(self._fd, extent.start, view, name=self._source.name, is_device=self._is_device)

    def read_pieces(self, pieces: Sequence[Extent], base: int, view: memoryview) -> None:
        """As ImageSource; a read goes on through short gaps, and past the page cache where the device allows it."""
        for run in joined(pieces, READ_THROUGH_BYTES):
            start, stop = run[0].start, run[-1].stop
            if self._direct is None or not self._direct.read(start, view[start - base : stop - base]):
                super().read_pieces(run, base, view)

    def finish(self) -> None:
        """Raises FileSystemError if partclone ended badly after it had written its map."""
        if self._map is not None:
            self._map.finish()

    def close(self) -> None:
        if self._map is not None:
            self._map.close()
        if self._direct is not None:
            self._direct.close()
        if self._hold is not None:
            self._hold.close()
        self._source.close()

    def _keep_writers_off(self, options: ImportOptions) -> None:
        """Not before the map is there: tools of file systems may want the device for themselves."""
        hold = ExclusiveHold(self._source.name)
        self._hold = hold
        if hold.user is not None and not options.force:
            self.close()
            raise LockedError(f"{self._source.name} is {hold.user}", hint="unmount it there as well (or --force)")

    def _refuse_writers(self, options: ImportOptions) -> None:
        use = mounted_for_writing(self._source.name)
        if use is None:
            hold = ExclusiveHold(self._source.name)
            hold.close()
            use = hold.user
        if use is None:
            return
        if not options.force:
            raise LockedError(f"{self._source.name} is {use}", hint="unmount it or mount it read-only (or --force)")
        self.notices += (f"{self._source.name} is {use}: the image may hold files half written",)

    def _ask_the_file_system(self, options: ImportOptions) -> None:
        self.fs = detect_file_system(self._source.name)
        if not self.fs.type:
            self.notices += ("no known file system: every byte is taken",)
            return
        program = partclone_program(self.fs.type)
        if program is None:
            self.notices += (f"no partclone program for {self.fs.type} here: every byte is taken",)
            return
        if self.fs.type == "vfat" and is_fat12(self._fd):
            self.notices += ("partclone reads the map of a FAT12 wrongly: every byte is taken",)
            return
        if self.fs.type == "ntfs" and is_ntfs_dirty(self._fd):
            if not options.force:
                raise FileSystemError(
                    f"the NTFS on {self._source.name} was not closed properly (its dirty flag is set)", hint=_FORCE_HINT
                )
            self.notices += ("the NTFS was not closed properly: every PC that gets it will check its disk first",)
        self._map = _MapProgram(program, self._source.name, force=options.force)
        try:
            self._map.read(self.size)
        except FileSystemError as error:
            self._map.close()
            self._map = None
            if not options.force:
                raise
            self.notices += (f"{str(error).rstrip('.')}: every byte is taken",)
            return
        self.extents = self._map.extents
        self.block_size = self._map.block_size


class _MapProgram:
    """One run of partclone.<fs> -D."""

    def __init__(self, program: str, path: str, *, force: bool) -> None:
        self._name = os.path.basename(program)
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - close()
        command = [program, "-D", "-F", "-d0", "-q", "-f", "0", "-L", "/dev/null", "-s", path, "-o", "-"]
        self._child = subprocess.Popen(
            [*command, "-I"] if force else command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "LC_ALL": "C"},
        )
        self.extents = Extents.all_data(0)
        self.block_size = 512

    def read(self, size: int) -> None:
        """Read the map until it covers all it promised: partclone sleeps after that, and the data need not wait."""
        builder = ExtentsBuilder()
        domain = DomainMap(builder)
        assert self._child.stdout is not None
        while not domain.complete and (piece := os.read(self._child.stdout.fileno(), _PIPE_BYTES)):
            try:
                domain.feed(piece)
            except FileSystemError as error:
                raise self._refused(error.message) from None
        if not domain.complete:
            self._child.wait()
            raise self._refused("it wrote no complete map")
        assert domain.total is not None
        if domain.total > size:
            raise FileSystemError(
                f"the file system covers {domain.total} bytes of a device of {size}", hint=_FORCE_HINT
            )
        if not domain.used:
            raise self._refused("its map says that no block is used")
        builder.add(size - domain.total, Kind.DATA)
        self.extents = builder.finish()
        found = re.search(rb"Block size:\s+(\d{1,9}) Byte", self._words())
        self.block_size = max(int(found[1]), 1) if found else 512

    def finish(self) -> None:
        try:
            self._child.communicate(timeout=_EXIT_S_MAX)  # drained, not closed: SIGPIPE would look like a refusal
        except subprocess.TimeoutExpired:
            raise self._refused("it does not end") from None
        if self._child.returncode != 0:
            raise self._refused(f"it ended with {self._child.returncode}")

    def close(self) -> None:
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._child.kill()
        self._child.wait()
        self._said.close()

    def _refused(self, why: str) -> FileSystemError:
        lines = [line.strip() for line in re.split(r"[\r\n]+", self._words().decode("utf-8", "replace"))]
        told = [line for line in lines if line and not line.startswith(("Partclone v", "Starting to", "Elapsed:"))]
        words = " / ".join(told[-3:]) or "it said nothing"
        hint = _MOUNTED_HINT if "is mounted" in words else _FORCE_HINT
        return FileSystemError(f"{self._name} refused the source ({why}): {words}", hint=hint)

    def _words(self) -> bytes:
        end = os.fstat(self._said.fileno()).st_size
        return os.pread(self._said.fileno(), _SAID_BYTES_MAX, max(end - _SAID_BYTES_MAX, 0))


def _ioctl_u64(fd: int, request: int) -> int:
    return int(struct.unpack("Q", fcntl.ioctl(fd, request, b"\0" * 8))[0])


def _ioctl_u32(fd: int, request: int) -> int:
    return int(struct.unpack("I", fcntl.ioctl(fd, request, b"\0" * 4))[0])
