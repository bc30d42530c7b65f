"""Where an export goes: a file that appears only when it is whole, a block device, or standard output."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import LockedError, OgcastError, PartitionError, ReadOnlyError, TargetTooSmallError, UsageError

__all__ = ["Output", "open_output"]

_BLKGETSIZE64 = 0x80081272


class Output:
    """Writes forward; `skip` leaves a hole where it can and writes zeros where it cannot."""

    def __init__(self, fd: int, name: str, *, kind: str) -> None:
        self.name = name
        self._fd = fd
        self._kind = kind
        self._at = 0

    @property
    def is_stream(self) -> bool:
        """Nothing can be left out: every byte must be written."""
        return self._kind == "stream"

    @property
    def is_device(self) -> bool:
        """What is not written keeps its old content."""
        return self._kind == "device"

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """All of `data`, at the current place."""
        view = memoryview(data)
        while view:
            try:
                done = os.write(self._fd, view) if self.is_stream else os.pwrite(self._fd, view, self._at)
            except OSError as error:
                raise _write_error(self.name, error) from None
            self._at += done
            view = view[done:]

    def skip(self, length: int) -> None:
        """Pass over `length` bytes, which read as zero in a file, and keep their content on a device."""
        if self.is_stream:
            zeros = memoryview(bytes(min(length, 1024 * 1024)))
            while length:
                self.write(zeros[:length])
                length -= min(length, len(zeros))
        else:
            self._at += length

    def finish(self) -> None:
        """Give a file its full length and bring all to the disk."""
        if self.is_stream:
            return
        try:
            if not self.is_device:
                os.ftruncate(self._fd, self._at)
            os.fsync(self._fd)
        except OSError as error:
            raise _write_error(self.name, error) from None


@contextmanager
def open_output(target: str, *, size: int | None = None, mode: int = 0o666) -> Iterator[Output]:
    """Open `target`: a path, a block device (only with `size`, the bytes that will be written to it), or `-`.

    A file is written under another name in the same folder and renamed at the end, so it is never there by half. Its
    permissions are `mode`, less what the umask takes. Before the first byte is written this raises PartitionError (no
    such device or folder), TargetTooSmallError, LockedError, ReadOnlyError or UsageError.
    """
    if target == "-":
        output = Output(1, "standard output", kind="stream")
        yield output
        return
    if not target:
        raise UsageError("the name of the file to write is empty")
    try:
        found = os.stat(target).st_mode
    except FileNotFoundError:
        _refuse_missing_device(target)
        found = stat.S_IFREG
    except OSError as error:
        raise _write_error(target, error) from None
    except ValueError:
        raise UsageError(f"not a file name: {target!a}") from None
    if stat.S_ISBLK(found):
        with _device(target, size) as output:
            yield output
    elif stat.S_ISREG(found):
        with _file(target, mode) as output:
            yield output
    else:
        raise UsageError(f"{target} is neither a file nor a block device")


@contextmanager
def _file(target: str, mode: int) -> Iterator[Output]:
    folder, name = os.path.split(os.path.abspath(target))
    try:
        fd, partial = tempfile.mkstemp(prefix=f".{name[:100]}.", suffix=".part", dir=folder)
    except OSError as error:
        raise _write_error(target, error) from None
    try:
        output = Output(fd, target, kind="file")
        yield output
        output.finish()
        os.fchmod(fd, mode & ~_umask())
        os.replace(partial, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    finally:
        os.close(fd)


@contextmanager
def _device(target: str, size: int | None) -> Iterator[Output]:
    if size is None:
        raise UsageError(f"{target} is a block device", hint="this format is written to a file or to `-`")
    try:
        fd = os.open(target, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        raise _write_error(target, error) from None
    try:
        (room,) = struct.unpack("Q", fcntl.ioctl(fd, _BLKGETSIZE64, b"\0" * 8))
        if room < size:
            raise TargetTooSmallError(f"{target} has {room} bytes, the image {size}")
        output = Output(fd, target, kind="device")
        yield output
        output.finish()
    finally:
        os.close(fd)


def _refuse_missing_device(target: str) -> None:
    """A device name that was mistyped would become a file in memory."""
    path = os.path.realpath(target)
    if path.startswith("/dev/") and not path.startswith("/dev/shm/"):
        raise PartitionError(f"no such device: {target}", hint="`lsblk` lists the disks and partitions of this machine")


def _umask() -> int:
    value = os.umask(0o077)
    os.umask(value)
    return value


def _write_error(name: str, error: OSError) -> OgcastError:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return TargetTooSmallError(f"no space left for {name}", hint="free some space, or write elsewhere")
        case errno.ENOENT | errno.ENOTDIR:
            return PartitionError(f"{name} cannot be written: its folder does not exist", hint="make it first")
        case errno.EBUSY:
            return LockedError(f"{name} is in use", hint="unmount it, and stop what else uses it")
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return ReadOnlyError(f"{name} cannot be written: {error.strerror}")
        case errno.EPIPE:
            return UsageError(f"whoever reads {name} went away")
        case _:
            return UsageError(f"{name} cannot be written: {error.strerror}")
